// Package nothing has nothing sealed.
package nothing
