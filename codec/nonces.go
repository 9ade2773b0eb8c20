package codec

import (
	"crypto/fips140"
	"crypto/rand"
	"io"
)

// approved: the program runs in FIPS 140-3 mode, in which the crypto module draws the nonce of each
// sealing by itself, and AES is to be had through the module's approved modes only.
var approved = fips140.Enabled()

// random is the system's source, whatever the program puts in its place later. It does not fail:
// the program would end first.
var random = rand.Reader

// Nonces are nonces for the randomized cells of one statement: drawing many at once costs little
// more than drawing one, which may take a system call. Each is used once. The zero value is ready,
// and draws one at a time. Nonces that are left must not outlive the statement, since a snapshot of
// the process that is restored would use them again, and must not be copied.
type Nonces struct {
	room  []byte // what Draw draws into
	drawn []byte // what is left of it
}

// maxAhead bounds how many nonces are drawn ahead of need.
const maxAhead = 256

// Draw makes sure that there are nonces for so many cells. If it draws some, it draws them for
// several of the cells that are sealed later, in the same statement, if ahead is how many these
// are.
func (n *Nonces) Draw(cells, ahead int) {
	if approved || len(n.drawn) >= cells*nonceSize {
		return
	}
	size := max(cells, min(ahead, maxAhead)) * nonceSize
	if cap(n.room) < size {
		n.room = make([]byte, size)
	}
	n.drawn = n.room[:size]
	mustRead(n.drawn)
}

// Forget drops the nonces that are left, and keeps the memory for the next statement.
func (n *Nonces) Forget() { n.drawn = nil }

// take moves the next nonce to dst.
func (n *Nonces) take(dst []byte) {
	if len(n.drawn) < nonceSize {
		mustRead(dst)
		return
	}
	copy(dst, n.drawn[:nonceSize])
	n.drawn = n.drawn[nonceSize:]
}

func mustRead(dst []byte) {
	if _, err := io.ReadFull(random, dst); err != nil {
		panic("codec: the system has no random bytes: " + err.Error())
	}
}
