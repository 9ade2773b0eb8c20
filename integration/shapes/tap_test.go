package shapes

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/colseal/colseal/integration/pgtest/wiretap"
)

// The canaries as the tests write them: every value that goes into a sealed text column has mark in it, every sealed
// number is at least bigPhone and not much more. What is sent has others in their place, which no other run had:
// what the twin of a former run was sent may still be in the server's files.
const (
	mark           = "zqcanary"
	bigPhone int64 = 104046000000000
	digits         = "104046" // of bigPhone
)

// canaries are what stands for mark and bigPhone in one run.
type canaries struct {
	mark  string
	phone int64
	text  *strings.Replacer
	forms [][]byte // the encodings that give a canary away
}

func newCanaries() *canaries {
	c := &canaries{mark: "zq", phone: 110000 + rand.Int64N(80000)}
	for range 10 {
		c.mark += string(rune('a' + rand.IntN(26)))
	}
	c.text = strings.NewReplacer(mark, c.mark, digits, strconv.FormatInt(c.phone, 10))
	c.phone *= bigPhone / 104046
	number := binary.BigEndian.AppendUint64(nil, uint64(c.phone))[:6]
	for _, b := range [][]byte{[]byte(c.mark), number, []byte(strconv.FormatInt(c.phone, 10)[:13])} {
		c.forms = append(c.forms, b, []byte(hex.EncodeToString(b)), []byte(strings.ToUpper(hex.EncodeToString(b))))
		for shift := range 3 {
			s := base64.StdEncoding.EncodeToString(append(make([]byte, shift), b...))
			c.forms = append(c.forms, []byte(s[2+shift:len(s)-4]))
		}
	}
	c.forms = slices.DeleteFunc(c.forms, func(b []byte) bool { return len(b) < 5 })
	return c
}

// in returns arguments with the run's canaries.
func (c *canaries) in(args []any) []any {
	out := slices.Clone(args)
	for i, v := range out {
		switch v := v.(type) {
		case string:
			out[i] = c.text.Replace(v)
		case []string:
			list := slices.Clone(v)
			for j := range list {
				list[j] = c.text.Replace(list[j])
			}
			out[i] = list
		case int64:
			if v >= bigPhone {
				out[i] = v - bigPhone + c.phone
			}
		}
	}
	return out
}

// leaks reports whether a canary is among bytes that were sent.
func (c *canaries) leaks(sent []byte) bool {
	return slices.ContainsFunc(c.forms, func(f []byte) bool { return bytes.Contains(sent, f) })
}

// wanted are the canaries that the wiretap looks for.
func (c *canaries) wanted() []wiretap.Canary {
	all := []wiretap.Canary{wiretap.Text("text", c.mark)}
	for i := range int64(10) {
		all = append(all, wiretap.Int(fmt.Sprint("phone ", i), c.phone+i), wiretap.Int(fmt.Sprint("phone -", i), -c.phone-i))
	}
	return all
}

// tap keeps the bytes that were sent to a server.
type tap struct {
	mu  sync.Mutex // guards buf
	buf bytes.Buffer
}

func (p *tap) take() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	b := bytes.Clone(p.buf.Bytes())
	p.buf.Reset()
	return b
}

type tappedConn struct {
	net.Conn
	tap *tap
}

func (c tappedConn) Write(b []byte) (int, error) {
	c.tap.mu.Lock()
	c.tap.buf.Write(b)
	c.tap.mu.Unlock()
	return c.Conn.Write(b)
}
