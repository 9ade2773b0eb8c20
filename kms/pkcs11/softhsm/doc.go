// Package softhsm gives tests a token of SoftHSM, a PKCS#11 module in software. Without cgo it is
// empty.
package softhsm
