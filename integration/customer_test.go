package integration

import (
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/brianvoe/gofakeit/v7"
)

// customer is a row of the load: what a shop or a bank keeps of a person. The plain columns are the key and the
// country; everything that tells who it is, is sealed. It is written and read through database/sql, sqlx and GORM alike.
type customer struct {
	ID      int64      `db:"id" gorm:"primaryKey;autoIncrement:false"`
	Country string     `db:"country"`
	Name    string     `db:"name" seal:"random"`
	Email   *string    `db:"email" seal:"deterministic"`
	IBAN    *string    `db:"iban" gorm:"column:iban" seal:"deterministic"`
	Phone   *string    `db:"phone" seal:"deterministic"`
	Born    *time.Time `db:"born" seal:"random"`
	Profile *profile   `db:"profile" seal:"random,kind=json"`
	Note    string     `db:"note" seal:"random"`
}

// TableName implements GORM's Tabler and names the table for schema.Model.
func (customer) TableName() string { return "customers" }

// customerDDL is the table with cells: both ways to store them, for both modes. twinDDL is its plaintext twin.
const (
	customerDDL = `CREATE TABLE customers (id bigint PRIMARY KEY, country text NOT NULL, name bytea NOT NULL, email bytea, iban text,
		phone bytea, born bytea, profile text, note text NOT NULL);
		CREATE INDEX ON customers (email)`
	twinDDL = `CREATE TABLE twin (id bigint PRIMARY KEY, country text NOT NULL, name text NOT NULL, email text, iban text,
		phone text, born timestamptz, profile jsonb, note text NOT NULL)`
)

var customerColumns = []string{"id", "country", "name", "email", "iban", "phone", "born", "profile", "note"}

func (c *customer) fields() []any {
	return []any{c.ID, c.Country, c.Name, c.Email, c.IBAN, c.Phone, c.Born, c.Profile, c.Note}
}

func (c *customer) pointers() []any {
	return []any{&c.ID, &c.Country, &c.Name, &c.Email, &c.IBAN, &c.Phone, &c.Born, &c.Profile, &c.Note}
}

// profile is kept as JSON, by a type that converts itself.
type profile struct {
	Token   string            `json:"token"` // unique
	Street  string            `json:"street"`
	Tags    []string          `json:"tags"`
	Limit   float64           `json:"limit"`
	Active  bool              `json:"active"`
	Friends map[string]*int64 `json:"friends,omitempty"`
}

// Value implements driver.Valuer.
func (p profile) Value() (driver.Value, error) { return json.Marshal(p) }

// Scan implements sql.Scanner.
func (p *profile) Scan(v any) error {
	switch v := v.(type) {
	case []byte:
		return json.Unmarshal(v, p)
	case string:
		return json.Unmarshal([]byte(v), p)
	}
	return errors.New("profile: neither bytes nor text")
}

// Names of people in scripts that the library does not write.
var (
	givenNames = strings.Fields("Ольга Дмитрий Ελένη Νίκος 小明 秀英 さくら 健太 지우 민준 Zoë Łukasz Þórdís Nguyễn فاطمة محمد " +
		"שרה יוסף अनन्या राहुल สมชาย Մարիամ ნინო Ọláyínká José Søren Çağla O'Neill")
	familyNames = strings.Fields("Иванова Кузнецов Παπαδοπούλου 王 欧阳 佐藤 김 Müller-Lüdenscheidt Żółć Jónsdóttir الأنصاري כהן शर्मा " +
		"ใจดี Պետրոսյան ბერიძე Adéyẹmí García-Márquez Ångström Yılmaz D'Ávila 👩‍🚀")
)

// makeCustomers makes n customers from a seed. Some values are NULL, some empty, and longNotes of the notes have 64 KB.
func makeCustomers(seed uint64, n, longNotes int) []customer {
	fake := gofakeit.NewFaker(rand.NewPCG(seed, 0), false)
	rows := make([]customer, n)
	for i := range rows {
		rows[i] = makeCustomer(fake, int64(i+1))
	}
	for i := range longNotes {
		c := &rows[i*n/longNotes]
		var b strings.Builder
		for b.Len() < 64<<10 {
			b.WriteString(strings.ReplaceAll(fake.HackerPhrase(), "'", "’") + " ")
		}
		c.Note = strings.ToValidUTF8(b.String()[:64<<10], ".") // a rune may have been cut
	}
	return rows
}

func makeCustomer(fake *gofakeit.Faker, id int64) customer {
	c := customer{ID: id, Country: fake.CountryAbr(), Name: makeName(fake)}
	some := func(v string) *string {
		switch fake.IntN(12) {
		case 0:
			return nil
		case 1:
			v = ""
		}
		return &v
	}
	c.Email = some(fmt.Sprintf("%s.%d@%s", fake.Username(), id, fake.DomainName()))
	c.IBAN = some(makeIBAN(fake))
	c.Phone = some("+" + fake.DigitN(13))
	if fake.IntN(12) > 0 {
		born := fake.DateRange(time.Date(1900, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC))
		born = born.Truncate(time.Second).Add(time.Duration(1+fake.IntN(999_998)) * time.Microsecond).UTC()
		c.Born = &born
	}
	if fake.IntN(12) > 0 {
		p := profile{Token: fake.UUID(), Street: fake.Street(), Tags: []string{fake.Color(), "", fake.Emoji()},
			Limit: float64(fake.IntN(1e6)) / 100, Active: fake.Bool()}
		if fake.IntN(4) == 0 {
			p.Friends = map[string]*int64{fake.Username(): &id, "nobody": nil}
		}
		c.Profile = &p
	}
	if fake.IntN(4) > 0 {
		c.Note = fake.HackerPhrase() + " #" + fake.DigitN(9)
	}
	return c
}

func makeName(fake *gofakeit.Faker) string {
	if fake.IntN(3) == 0 {
		return fake.Name() + " " + fake.LastName()
	}
	return givenNames[fake.IntN(len(givenNames))] + " " + fake.MiddleName() + " " + familyNames[fake.IntN(len(familyNames))]
}

// makeIBAN makes a German IBAN with right check digits (ISO 13616: the number modulo 97 is 1).
func makeIBAN(fake *gofakeit.Faker) string {
	account := fake.DigitN(18)
	n, _ := new(big.Int).SetString(account+"131400", 10) // D, E and 00 in digits
	check := 98 - n.Mod(n, big.NewInt(97)).Int64()
	return fmt.Sprintf("DE%02d%s", check, account)
}
