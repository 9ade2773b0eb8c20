// Package services tests key services of every kind together. It needs cgo, for PKCS#11.
package services
