package codec

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// vectorCase is one vector before it is written: ref is the cell as it was sealed, and the rest is
// how it is opened.
type vectorCase struct {
	name, comment, layer string
	ref                  *refCell
	value                any // layer none: what opening yields

	cell     []byte // opened; ref.Cell unless altered
	suite    Suite
	dataKey  []byte
	keyID    uint32
	identity string
	kind     Kind
}

func (c vectorCase) file() string {
	var b strings.Builder
	field := func(name, value string) { b.WriteString(strings.TrimRight(name+": "+value, " ") + "\n") }
	fmt.Fprintf(&b, "# %s\n", c.comment)
	field("layer", c.layer)
	field("suite", c.suite.String())
	field("data key", hex.EncodeToString(c.dataKey))
	field("key id", fmt.Sprintf("%08x", c.keyID))
	field("identity", c.identity)
	field("kind", c.kind.String())
	if c.layer == "none" {
		value := fmt.Sprintf("%#v", c.value)
		if t, ok := c.value.(time.Time); ok {
			value = fmt.Sprint(t.UTC())
		}
		field("value", value)
		field("encoding", hex.EncodeToString(c.ref.Plaintext[1:]))
		field("aad", hex.EncodeToString(c.ref.AAD))
		if c.suite == SuiteRandomized {
			field("aead key", hex.EncodeToString(c.ref.AEADKey))
			field("nonce", hex.EncodeToString(c.ref.Nonce))
		} else {
			field("mac key", hex.EncodeToString(c.ref.MACKey))
			field("enc key", hex.EncodeToString(c.ref.EncKey))
			field("iv", hex.EncodeToString(c.ref.IV))
		}
		if c.suite == SuiteOrdered {
			least, greatest := c.ref.bounds()
			field("order key", hex.EncodeToString(c.ref.OrderKey))
			field("number", fmt.Sprint(c.ref.Number))
			field("term", hex.EncodeToString(c.ref.Term))
			field("least", hex.EncodeToString(least))
			field("behind", hex.EncodeToString(c.ref.behind()))
			field("greatest", hex.EncodeToString(greatest))
		}
		if c.suite.HasTerms() {
			field("term key", hex.EncodeToString(c.ref.TermKey))
			field("tokens", c.ref.Tokens)
		}
		if c.suite == SuiteRandomTerms {
			field("salt", hex.EncodeToString(c.ref.Salt))
		}
		field("text", EncodeText(c.cell))
	}
	field("cell", hex.EncodeToString(c.cell))
	return b.String()
}

func vectorBytes(label string, n int) []byte {
	sum := sha256.Sum256([]byte("colseal vector: " + label))
	return sum[:n]
}

const vectorIdentity = "users.email"

// sealedCase is a good cell, opened as it was sealed.
func sealedCase(t testing.TB, name string, suite Suite, kind Kind, encoding []byte) vectorCase {
	return sealedFor(t, vectorIdentity, name, suite, kind, encoding)
}

func sealedFor(t testing.TB, identity, name string, suite Suite, kind Kind, encoding []byte) vectorCase {
	ref := &refCell{
		Suite: suite, DataKey: vectorBytes("data key", 32), KeyID: 0x01020304, Identity: identity,
		Plaintext: append([]byte{byte(kind)}, encoding...),
	}
	if suite == SuiteRandomized {
		ref.Nonce = vectorBytes("nonce "+name, 12)
	}
	if suite == SuiteRandomTerms {
		ref.Salt = vectorBytes("salt "+name, 16)
	}
	ref.seal(t)
	return vectorCase{name: name, layer: "none", ref: ref, cell: bytes.Clone(ref.Cell),
		suite: suite, dataKey: ref.DataKey, keyID: ref.KeyID, identity: ref.Identity, kind: kind}
}

func vectorCases(t testing.TB) []vectorCase {
	cases := goodCases(t)
	for _, suite := range []Suite{SuiteRandomized, SuiteDeterministic} {
		cases = append(cases, alteredCases(t, suite)...)
		cases = append(cases, misplacedCases(t, suite)...)
	}
	cases = append(cases, orderedCases(t)...)
	cases = append(cases, termsCases(t)...)
	cases = append(cases, randomTermsCases(t)...)
	return append(cases, authenticCases(t)...)
}

// ordered is a column of suite 3, whose values' numbers have so many bits.
type ordered struct {
	kind     Kind
	identity string
	width    int
}

// sealedOrdered is a good cell of suite 3.
func sealedOrdered(t testing.TB, name string, col ordered, encoding []byte, number uint64) vectorCase {
	ref := &refCell{Suite: SuiteOrdered, DataKey: vectorBytes("data key", 32), KeyID: 0x01020304, Identity: col.identity,
		Plaintext: append([]byte{byte(col.kind)}, encoding...), Number: number, Width: col.width}
	ref.seal(t)
	return vectorCase{name: name, layer: "none", ref: ref, cell: bytes.Clone(ref.Cell),
		suite: SuiteOrdered, dataKey: ref.DataKey, keyID: ref.KeyID, identity: ref.Identity, kind: col.kind}
}

// orderedCases are the cells of suite 3. The numbers of the values were worked out by hand.
func orderedCases(t testing.TB) []vectorCase {
	anyInt, age := ordered{KindInt, "users.balance#ord:int", 64}, ordered{KindInt, "users.age#ord:int:0:150:1", 8}
	born := ordered{KindDate, "users.born#ord:date:-25567:36524:1", 16}
	second := ordered{KindTimestamp, "visits.at#ord:timestamp:0:4102444800000000:1000000", 32}
	price := ordered{KindNumeric, "items.price#ord:numeric:-10:999.99:0.01", 17}
	half := ordered{KindFloat, "items.share#ord:float:0000000000000000:3ff0000000000000:1", 62}
	anyFloat := ordered{KindFloat, "items.weight#ord:float", 64}
	var cases []vectorCase
	good := func(name, comment string, col ordered, in, out any, number uint64) {
		encoding, err := AppendValue(nil, col.kind, SuiteOrdered, in)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c := sealedOrdered(t, "good-ordered-"+name, col, encoding, number)
		c.comment, c.value = comment, out
		cases = append(cases, c)
	}
	good("int", "The number of an integer is it plus 2^63.", anyInt, -2, int64(-2), 1<<63-2)
	good("int-greatest", "The greatest number, all of its bits 1.", anyInt, int64(1<<63-1), int64(1<<63-1), 1<<64-1)
	good("int-bounds", "With bounds the number counts steps from the least value: 151 of them take 8 bits.", age, 42, int64(42), 42)
	good("date", "The number of a date is its days plus 2^31; without bounds it has 32 bits.", ordered{KindDate, "users.day#ord:date", 32},
		"1970-01-02", time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC), 1<<31+1)
	good("date-bounds", "62,092 days from 1900 to 2069.", born, "1984-03-09", time.Date(1984, 3, 9, 0, 0, 0, 0, time.UTC), 5181+25567)
	good("time-infinity", "The smallest number is -infinity.", ordered{KindTime, "users.seen#ord:time", 64}, "-infinity", "-infinity", 0)
	good("timestamp-step", "In steps of a second.", second, "1970-01-01 00:01:00", time.Date(1970, 1, 1, 0, 1, 0, 0, time.UTC), 60)
	good("float", "The number of a negative float is the complement of its bits.", anyFloat, -0.5, -0.5, 1<<64-1-0xbfe0<<48)
	good("float-nan", "NaN is greater than all others.", anyFloat, "NaN", math.NaN(), 0xfff8<<48)
	good("float-bounds", "With bounds the number counts floats.", half, 0.5, 0.5, 0x3fe0<<48)
	good("numeric", "Steps of a numeric are counted in exact decimals.", price, "12.50", "12.5", 2250)

	alter := func(name, layer, comment string, change func(c *vectorCase)) {
		c := sealedOrdered(t, layer+"-ordered-"+name, age, []byte{0, 0, 0, 0, 0, 0, 0, 42}, 42)
		c.layer, c.comment = layer, comment
		change(&c)
		cases = append(cases, c)
	}
	alter("short", "format", "One byte shorter than the shortest cell of the suite.", func(c *vectorCase) { c.cell = c.cell[:25] })
	alter("no-body", "format", "Shorter than the column's order term and an empty value need.", func(c *vectorCase) { c.cell = c.cell[:32] })
	alter("behind", "format", "What stands between two cells is no cell.", func(c *vectorCase) { c.cell = append(c.ref.behind()[:32:32], 0xff)[:32] })
	alter("least", "format", "A bound of all cells is no cell.", func(c *vectorCase) { c.cell, _ = c.ref.bounds() })
	alter("id-flipped", "key", "One bit of the key id.", func(c *vectorCase) { c.cell[7] ^= 1 })
	alter("suite-flipped", "key", "The suite byte says suite 2.", func(c *vectorCase) { c.cell[1] = byte(SuiteDeterministic) })
	alter("other-bounds", "column", "A cell that was sealed when the column had other bounds.", func(c *vectorCase) { c.identity = "users.age#ord:int:0:151:1" })
	alter("term-flipped", "tag", "One bit of the order term: a row that was moved.", func(c *vectorCase) { c.cell[HeaderSize+3] ^= 1 })
	alter("iv-flipped", "tag", "One bit of the synthetic IV.", func(c *vectorCase) { c.cell[HeaderSize+8] ^= 1 })
	alter("body-flipped", "tag", "One bit of the sealed value.", func(c *vectorCase) { c.cell[len(c.cell)-1] ^= 1 })
	alter("cut", "tag", "The last byte is missing.", func(c *vectorCase) { c.cell = c.cell[:len(c.cell)-1] })
	alter("wrong-data-key", "tag", "The right id with another data key.", func(c *vectorCase) { c.dataKey = vectorBytes("another data key", 32) })
	alter("other", "kind", "An integer in a column that is declared to hold floats.", func(c *vectorCase) { c.kind = KindFloat })
	outside := func(name, comment string, col ordered, encoding string, number uint64) {
		c := sealedOrdered(t, "format-ordered-"+name, col, []byte(encoding), number)
		c.layer, c.comment = "format", comment
		cases = append(cases, c)
	}
	outside("outside", "Authentic, but greater than the greatest value.", age, "\x00\x00\x00\x00\x00\x00\x00\x97", 151)
	outside("between", "Authentic, but between two steps.", price, "12.505", 2250)
	outside("numeric-scale", "Authentic and canonical in suite 1; the fraction ends in no zero.", price, "12.50", 2250)
	return cases
}

func goodCases(t testing.TB) []vectorCase {
	moment := time.Date(2024, 2, 29, 12, 34, 56, 789012000, time.UTC)
	values := []struct {
		name, comment string
		kind          Kind
		in, out       any
	}{
		{"text", "Text is its UTF-8.", KindText, "alice@example.com", "alice@example.com"},
		{"text-empty", "An empty value is sealed, and is not NULL.", KindText, "", ""},
		{"text-long", "More than the blocks that are encrypted one by one.", KindText, strings.Repeat("Привет ", 40), strings.Repeat("Привет ", 40)},
		{"bytes", "Bytes are as they are, NUL included.", KindBytes, []byte{0, 1, 0xff}, []byte{0, 1, 0xff}},
		{"bytes-empty", "No bytes, and not NULL.", KindBytes, []byte{}, []byte{}},
		{"int", "An integer is 8 bytes, big-endian, in two's complement.", KindInt, -2, int64(-2)},
		{"float", "A float is the 8 bytes of IEEE 754, big-endian.", KindFloat, 0.5, 0.5},
		{"bool", "A bool is one byte.", KindBool, true, true},
		{"time", "A time is microseconds since 1970 in UTC: 8 bytes as an integer.", KindTime, moment, moment},
		{"time-early", "Before 1970 the number is negative. The fraction is rounded to the nearest microsecond, halves to even.", KindTime, "1969-12-31 23:59:59.9999975+00", time.UnixMicro(-2)},
		{"time-infinity", "The largest number is infinity.", KindTime, "infinity", "infinity"},
		{"date", "A date is days since 1970: 4 bytes. It is that of the clock that the value was read from, not of UTC.", KindDate,
			time.Date(1984, 3, 9, 0, 0, 0, 0, time.FixedZone("CET", 3600)), time.Date(1984, 3, 9, 0, 0, 0, 0, time.UTC)},
		{"date-bc", "The year before year 1 is 1 BC.", KindDate, "0001-12-31 BC", time.Date(0, 12, 31, 0, 0, 0, 0, time.UTC)},
		{"date-infinity", "The smallest number is -infinity.", KindDate, "-infinity", "-infinity"},
		{"timestamp", "A timestamp is what a clock shows, as microseconds since its 1970: 8 bytes. A zone does not count.", KindTimestamp,
			"2024-02-29 12:34:56.789012-08", moment},
		{"timestamp-midnight", "24:00 is midnight of the next day.", KindTimestamp, "2024-02-29T24:00", time.Date(2024, 3, 1, 0, 0, 0, 0, time.UTC)},
		{"timestamp-infinity", "The smallest number is -infinity.", KindTimestamp, "-infinity", "-infinity"},
		{"json", "JSON is its text.", KindJSON, `{"a":[1,2.50]}`, []byte(`{"a":[1,2.50]}`)},
		{"uuid", "A UUID is its 16 bytes.", KindUUID, "{F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6}", "f81d4fae-7dec-11d0-a765-00a0c91e6bf6"},
		{"textarray", "A text array is the literal that PostgreSQL writes.", KindTextArray, []any{"a", "NULL", nil, "", `b "c" \ d`, "e,f"}, `{a,"NULL",NULL,"","b \"c\" \\ d","e,f"}`},
		{"intarray", "An integer array is the literal that PostgreSQL writes.", KindIntArray, "{ +1, NULL ,-20}", "{1,NULL,-20}"},
		{"textarray-dimensions", "An array of two dimensions has arrays for elements, all of one length.", KindTextArray, "{{a, NULL},{b c, \"NULL\"}}", `{{a,NULL},{"b c","NULL"}}`},
		{"intarray-bounds", "If an index does not begin at 1, the bounds of all dimensions stand before it.", KindIntArray, "[1] [-1:0] = {{1,2}}", "[1:1][-1:0]={{1,2}}"},
	}
	var cases []vectorCase
	add := func(suite Suite, name, comment string, kind Kind, in, out any) {
		encoding, err := AppendValue(nil, kind, suite, in)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		c := sealedCase(t, "good-"+suite.String()+"-"+name, suite, kind, encoding)
		c.comment, c.value = comment, out
		cases = append(cases, c)
	}
	for _, suite := range []Suite{SuiteRandomized, SuiteDeterministic} {
		for _, v := range values {
			add(suite, v.name, v.comment, v.kind, v.in, v.out)
		}
	}
	add(SuiteRandomized, "numeric", "A numeric is its plain decimal text; the scale is kept.", KindNumeric, "+1.50e1", "15.0")
	add(SuiteDeterministic, "numeric", "A numeric is its plain decimal text; trailing zeros of the fraction go, so that equal numbers are equal cells.", KindNumeric, "+1.50e1", "15")
	add(SuiteDeterministic, "numeric-zero", "Minus zero is zero.", KindNumeric, "-0.00", "0")
	add(SuiteDeterministic, "float-zero", "Minus zero is zero.", KindFloat, "-0", 0.0)
	add(SuiteDeterministic, "json-compact", "Deterministic JSON is compacted: equality of texts but for white space.", KindJSON, "{ \"b\" : 1 ,\n\"a\" : 2 }", []byte(`{"b":1,"a":2}`))
	return cases
}

// alteredCases are cells whose bytes were changed after they were sealed.
func alteredCases(t testing.TB, suite Suite) []vectorCase {
	alter := func(name, layer, comment string, change func(cell []byte) []byte) vectorCase {
		c := sealedCase(t, layer+"-"+suite.String()+"-"+name, suite, KindText, []byte("alice@example.com"))
		c.layer, c.comment = layer, comment
		c.cell = change(c.cell)
		return c
	}
	flip := func(i int) func([]byte) []byte {
		return func(cell []byte) []byte {
			if i < 0 {
				i += len(cell)
			}
			cell[i] ^= 1
			return cell
		}
	}
	set := func(i int, b byte) func([]byte) []byte {
		return func(cell []byte) []byte { cell[i] = b; return cell }
	}
	other := SuiteRandomized + SuiteDeterministic - suite
	return []vectorCase{
		alter("empty", "format", "No bytes.", func([]byte) []byte { return nil }),
		alter("half-header", "format", "A header cut short.", func(c []byte) []byte { return c[:7] }),
		alter("header-only", "format", "A header without a body.", func(c []byte) []byte { return c[:8] }),
		alter("short", "format", "One byte shorter than the shortest cell.", func(c []byte) []byte { return c[:suite.Overhead()-1] }),
		alter("zero", "version", "Version 0 does not exist.", set(0, 0)),
		alter("later", "version", "A later version.", set(0, 2)),
		alter("zero", "suite", "Suite 0 does not exist.", set(1, 0)),
		alter("later", "suite", "A suite that this version does not have.", set(1, 255)),
		alter("suite-flipped", "key", "The suite byte says the other suite, and the reader's key is for this one.", set(1, byte(other))),
		alter("tag-flipped", "column", "One bit of the column tag.", flip(3)),
		alter("id-flipped", "key", "One bit of the key id.", flip(7)),
		alter("nonce-flipped", "tag", "One bit of the nonce or synthetic IV.", flip(HeaderSize)),
		alter("kind-flipped", "tag", "One bit of the sealed kind byte.", flip(suite.Overhead()-kindSize-tagOf(suite))),
		alter("body-flipped", "tag", "One bit of the sealed value.", flip(suite.Overhead()-tagOf(suite))),
		alter("end-flipped", "tag", "One bit of the last byte.", flip(-1)),
		alter("cut", "tag", "The last byte is missing.", func(c []byte) []byte { return c[:len(c)-1] }),
		alter("grown", "tag", "A byte too many.", func(c []byte) []byte { return append(c, 0) }),
	}
}

func tagOf(suite Suite) int {
	if suite == SuiteRandomized {
		return tagSize
	}
	return 0
}

// misplacedCases are good cells that are opened where they do not belong.
func misplacedCases(t testing.TB, suite Suite) []vectorCase {
	misplace := func(name, layer, comment string, change func(c *vectorCase)) vectorCase {
		c := sealedCase(t, layer+"-"+suite.String()+"-"+name, suite, KindText, []byte("alice@example.com"))
		c.layer, c.comment = layer, comment
		change(&c)
		return c
	}
	twin := tagTwin(vectorIdentity)
	return []vectorCase{
		misplace("moved", "column", "A cell of users.email in users.phone.", func(c *vectorCase) { c.identity = "users.phone" }),
		misplace("suite-relabelled", "tag", "The suite byte was rewritten, and the reader uses the key of that suite, as a reader does that takes the key from the header.", func(c *vectorCase) {
			c.suite = SuiteRandomized + SuiteDeterministic - suite
			c.cell[1] = byte(c.suite)
		}),
		misplace("relabelled", "tag", "A cell of users.email in users.phone, and its column tag was rewritten to fit.", func(c *vectorCase) {
			c.identity = "users.phone"
			copy(c.cell[2:], Header{Tag: ColumnTag(c.identity)}.Append(nil)[2:4])
		}),
		misplace("same-tag", "tag", "A column whose tag is the same by chance.", func(c *vectorCase) { c.identity = twin }),
		misplace("other", "key", "Opened with the key of another id.", func(c *vectorCase) { c.keyID++ }),
		misplace("key-relabelled", "tag", "The key id was rewritten to fit, and even the data key is the same.", func(c *vectorCase) {
			c.keyID++
			copy(c.cell[4:], Header{KeyID: c.keyID}.Append(nil)[4:])
		}),
		misplace("wrong-data-key", "tag", "The right id with another data key.", func(c *vectorCase) { c.dataKey = vectorBytes("another data key", 32) }),
		misplace("other", "kind", "Text in a column that is declared to hold integers.", func(c *vectorCase) { c.kind = KindInt }),
	}
}

// tagTwin returns another identity with the same 16-bit tag.
func tagTwin(identity string) string {
	for i := 0; ; i++ {
		if s := fmt.Sprintf("twins.column%d", i); ColumnTag(s) == ColumnTag(identity) {
			return s
		}
	}
}

// authenticCases are sealed by the right key and hold what AppendValue never writes.
func authenticCases(t testing.TB) []vectorCase {
	var cases []vectorCase
	addIn := func(suite Suite, name, layer, comment string, kind Kind, encoding string, declared Kind) {
		c := sealedCase(t, layer+"-"+name, suite, kind, []byte(encoding))
		c.layer, c.comment, c.kind = layer, comment, declared
		cases = append(cases, c)
	}
	add := func(name, layer, comment string, kind Kind, encoding string, declared Kind) {
		addIn(SuiteRandomized, name, layer, comment, kind, encoding, declared)
	}
	add("zero", "kind", "Kind 0 does not exist.", 0, "x", KindText)
	add("later", "kind", "A kind that this version does not have.", 14, "x", KindText)
	add("text-utf8", "format", "Authentic, but not UTF-8.", KindText, "a\xff", KindText)
	add("text-nul", "format", "Authentic, but text has no NUL.", KindText, "a\x00", KindText)
	add("int-length", "format", "Authentic, but an integer has 8 bytes.", KindInt, "\x00\x00\x00\x07", KindInt)
	add("float-nan", "format", "Authentic, but not the canonical NaN.", KindFloat, "\x7f\xf8\x00\x00\x00\x00\x00\x01", KindFloat)
	add("bool-two", "format", "Authentic, but a bool is 0 or 1.", KindBool, "\x02", KindBool)
	add("time-length", "format", "Authentic, but a time has 8 bytes.", KindTime, "", KindTime)
	add("date-length", "format", "Authentic, but a date has 4 bytes.", KindDate, "\x00\x00\x00\x00\x00\x00\x00\x00", KindDate)
	add("timestamp-length", "format", "Authentic, but a timestamp has 8 bytes.", KindTimestamp, "\x00\x00\x00\x00", KindTimestamp)
	add("date-range", "format", "Authentic, but a day before 4714-11-24 BC.", KindDate, "\xff\xda\xc2\x73", KindDate)
	add("timestamp-range", "format", "Authentic, but in the year 294247.", KindTimestamp, "\x7f\xff\xff\x47\x95\xdb\x40\x00", KindTimestamp)
	add("uuid-length", "format", "Authentic, but a UUID has 16 bytes.", KindUUID, "f81d4fae", KindUUID)
	add("numeric-plus", "format", "Authentic, but a numeric has no plus.", KindNumeric, "+1", KindNumeric)
	add("numeric-zero", "format", "Authentic, but zero has no sign.", KindNumeric, "-0.0", KindNumeric)
	add("textarray-quotes", "format", "Authentic, but quoted without need.", KindTextArray, `{"a"}`, KindTextArray)
	add("textarray-bounds", "format", "Authentic, but with bounds that say nothing.", KindTextArray, "[1:2]={a,b}", KindTextArray)
	add("textarray-ragged", "format", "Authentic, but the arrays in it differ in length.", KindTextArray, "{{a},{b,c}}", KindTextArray)
	add("intarray-empty", "format", "Authentic, but an array of no elements is {}.", KindIntArray, "{{}}", KindIntArray)
	add("intarray-space", "format", "Authentic, but with white space.", KindIntArray, "{1, 2}", KindIntArray)
	det := func(name, comment string, kind Kind, encoding string) {
		addIn(SuiteDeterministic, "deterministic-"+name, "format", comment, kind, encoding, kind)
	}
	det("numeric-scale", "Authentic and canonical in suite 1; in suite 2 the fraction ends in no zero.", KindNumeric, "1.50")
	det("numeric-point", "Authentic and canonical in suite 1; in suite 2 the fraction ends in no zero.", KindNumeric, "0.0")
	det("float-minus-zero", "Authentic and canonical in suite 1; in suite 2 zero has no sign.", KindFloat, "\x80\x00\x00\x00\x00\x00\x00\x00")
	det("json-space", "Authentic and canonical in suite 1; in suite 2 there is no white space between tokens.", KindJSON, `{"a": "b c\" d"}`)
	return cases
}
