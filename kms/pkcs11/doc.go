// Package pkcs11 wraps data keys under an AES key in a hardware security module, by its PKCS#11
// module.
//
// The key encryption key never leaves the token. The program needs the PIN of a user who may
// encrypt and decrypt with it. Data keys are bound to their encryption context by the associated
// data of CKM_AES_GCM. A wrapped key is
//
//	[nonce 12][ciphertext 32][tag 16]
//
// The module runs in this process, so the package needs cgo. Without cgo it is empty.
package pkcs11
