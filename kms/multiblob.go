package kms

import (
	"bytes"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
)

// The blob of several wraps of one data key:
//
//	"CSMK"  version 1  number of wraps 1
//	per wrap: length of the KEK's id 2, id; length of the blob 2, blob
//	HMAC-SHA-256 over all before, under a key derived from the data key
//
// Numbers are big-endian. The KeyID beside it lists the ids, so that people and
// programs see under which KEKs a key is, and whether that has changed.
const (
	packMagic   = "CSMK"
	packVersion = 1
	packHeader  = len(packMagic) + 2
	packDomain  = "colseal kms several wraps v1"
	packJoin    = ", "
	maxPart     = 1<<16 - 1
)

// pack puts the wraps of one data key into one.
func pack(wraps []Wrapped, plaintext []byte) (Wrapped, error) {
	b := append([]byte(packMagic), packVersion, byte(len(wraps)))
	var ids []string
	for _, w := range wraps {
		if w.KeyID == "" || len(w.Blob) == 0 || len(w.KeyID) > maxPart || len(w.Blob) > maxPart {
			return Wrapped{}, fmt.Errorf("a KMS gave a wrapped key of %d bytes with a key id of %d", len(w.Blob), len(w.KeyID))
		}
		ids = append(ids, w.KeyID)
		for _, part := range [][]byte{[]byte(w.KeyID), w.Blob} {
			b = binary.BigEndian.AppendUint16(b, uint16(len(part)))
			b = append(b, part...)
		}
	}
	b = append(b, packTag(plaintext, b)...)
	return Wrapped{KeyID: strings.Join(ids, packJoin), Blob: b}, nil
}

// packTag authenticates packed wraps. The key cannot be told from the data key's other
// uses, nor they from it.
func packTag(plaintext, body []byte) []byte {
	key, err := hkdf.Key(sha256.New, plaintext, nil, packDomain, sha256.Size)
	if err != nil {
		panic("kms: " + err.Error()) // only for a length that HKDF cannot give
	}
	defer clear(key)
	mac := hmac.New(sha256.New, key)
	mac.Write(body)
	return mac.Sum(nil)
}

var errPacked = errors.New("it is not what several KEKs wrapped: its parts do not fit together")

// unpack takes packed wraps apart, and returns the tag, which only the data key can
// prove. A key that a single KEK wrapped is returned as it is, without a tag. The
// results share memory with w.
func unpack(w Wrapped) (wraps []Wrapped, tag []byte, err error) {
	if !bytes.HasPrefix(w.Blob, []byte(packMagic)) {
		if w.KeyID == "" || len(w.Blob) == 0 {
			return nil, nil, errors.New("it is empty or names no KEK")
		}
		if strings.Contains(w.KeyID, packJoin) {
			return nil, nil, errPacked
		}
		return []Wrapped{w}, nil, nil
	}
	if len(w.Blob) < packHeader+sha256.Size {
		return nil, nil, errPacked
	}
	if v := w.Blob[len(packMagic)]; v != packVersion {
		return nil, nil, fmt.Errorf("it has version %d; this program knows version %d", v, packVersion)
	}
	body, tag := w.Blob[packHeader:len(w.Blob)-sha256.Size], w.Blob[len(w.Blob)-sha256.Size:]
	var ids []string
	for range w.Blob[packHeader-1] {
		id, rest, ok1 := cutPart(body)
		blob, rest, ok2 := cutPart(rest)
		if !ok1 || !ok2 {
			return nil, nil, errPacked
		}
		body = rest
		ids = append(ids, string(id))
		wraps = append(wraps, Wrapped{KeyID: string(id), Blob: blob})
	}
	if len(body) > 0 || len(wraps) == 0 || len(wraps) > maxMembers {
		return nil, nil, errPacked
	}
	if strings.Join(ids, packJoin) != w.KeyID {
		return nil, nil, errors.New("its key id does not list the KEKs that wrapped it")
	}
	return wraps, tag, nil
}

// cutPart cuts a part that is not empty from the front.
func cutPart(b []byte) (part, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if b = b[2:]; n == 0 || n > len(b) {
		return nil, nil, false
	}
	return b[:n:n], b[n:], true
}
