package aws

import (
	"context"
	"database/sql"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	_ "modernc.org/sqlite"

	"github.com/colseal/colseal/codec"
	"github.com/colseal/colseal/keycache"
	"github.com/colseal/colseal/keyring"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
)

// What the page calls the keys, the roles and the alias.
const (
	pageKey   = "arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	pageNext  = "arn:aws:kms:eu-west-1:111122223333:key/0987dcba-09fe-87dc-65ba-ab0987654321"
	pageApp   = "arn:aws:iam::111122223333:role/app"
	pageOps   = "arn:aws:iam::111122223333:role/colseal-operator"
	pageAudit = "arn:aws:iam::111122223333:role/auditor"
	pageRoot  = "arn:aws:iam::111122223333:root"
	pageAlias = "alias/app"

	pageKeyring = "5f0c7a1de9b24836a1c4f2d07b6e8893"
	otherKey    = "arn:aws:kms:eu-west-1:999999999999:key/ffffffff-ffff-ffff-ffff-ffffffffffff"
)

var block = regexp.MustCompile("(?ms)^<!-- policy: ([a-z-]+) -->\n```json\n(.*?)^```$")

func policies(t *testing.T) map[string]policy {
	t.Helper()
	var page []byte
	for _, name := range []string{"aws-policies.md", "aws-operators.md"} {
		text, err := os.ReadFile("../../docs/" + name)
		if err != nil {
			t.Fatal(err)
		}
		page = append(page, text...)
	}
	all := map[string]policy{}
	for _, m := range block.FindAllStringSubmatch(string(page), -1) {
		d := json.NewDecoder(strings.NewReader(m[2]))
		d.DisallowUnknownFields()
		var p policy
		if err := d.Decode(&p); err != nil {
			t.Fatalf("policy %s: %v", m[1], err)
		}
		if p.Version != "2012-10-17" || len(p.Statement) == 0 {
			t.Errorf("policy %s: version %q, %d statements", m[1], p.Version, len(p.Statement))
		}
		all[m[1]] = p
	}
	if n := strings.Count(string(page), "```json\n"); n != len(all) {
		t.Errorf("%d JSON blocks, %d policies: each must say which one it is", n, len(all))
	}
	return all
}

// recorded is what the two kinds of process asked KMS for.
type recorded struct{ app, operator []request }

// record runs an application and an operator against a KMS server, and returns their
// requests as IAM would see them, with the page's names of keys.
func record(t *testing.T) recorded {
	t.Helper()
	srv := kmstest.Start(t)
	first := srv.CreateKey(kmstest.Alias(pageAlias))
	next := srv.CreateKey(kmstest.Alias("alias/next"))
	db, err := sql.Open("sqlite", filepath.Join(t.TempDir(), "keys.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	store := keyring.OpenStore(db, keyring.DialectSQLite, "")
	if err := store.Create(t.Context()); err != nil {
		t.Fatal(err)
	}
	id, err := store.ID(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	names := strings.NewReplacer(first, pageKey, next, pageNext, id, pageKeyring)
	runApplication(t, store, awskms.New(srv.Client(t), pageAlias))
	var r recorded
	r.app = requests(srv, names)
	srv.Reset()

	ops := keyring.NewAdmin(store, awskms.New(srv.Client(t), "alias/next"), keyring.AdminConfig{By: "test"})
	tenant := "tenant:42"
	keys, err := ops.Keys(t.Context(), keyring.Filter{Scope: &tenant})
	if err != nil || len(keys) == 0 {
		t.Fatal(keys, err)
	}
	if _, err := ops.Rewrap(t.Context(), keyring.RewrapOptions{From: []string{first}}); err != nil {
		t.Fatal(err)
	}
	if _, err := ops.Rotate(t.Context(), keyring.PurposeData, tenant); err != nil {
		t.Fatal(err)
	}
	if _, err := ops.Revoke(t.Context(), keys[0].ID, "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := ops.Destroy(t.Context(), tenant, "test"); err != nil {
		t.Fatal(err)
	}
	if err := awskms.New(srv.Client(t), pageAlias).Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.operator = requests(srv, names)
	return r
}

// runApplication makes keys of both purposes in two scopes, and reads them in a second
// process.
func runApplication(t *testing.T, store *keyring.Store, w *awskms.Wrapper) {
	t.Helper()
	random := keycache.Column{Identity: "users.ssn", Suite: codec.SuiteRandomized}
	search := keycache.Column{Identity: "users.email", Suite: codec.SuiteDeterministic}
	for range 2 {
		c := keycache.New(store, w, keycache.Config{})
		for _, scope := range []string{"", "tenant:42"} {
			ctx := keyring.WithScope(context.Background(), scope)
			if _, err := c.Sealer(ctx, random, 1); err != nil {
				t.Fatal(err)
			}
			if _, err := c.SearchKeys(ctx, search); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// requests returns the server's events as requests: one for each IAM action.
func requests(srv *kmstest.Server, names *strings.Replacer) []request {
	var all []request
	for _, e := range srv.Events() {
		r := request{action: "kms:" + e.Operation, resource: names.Replace(e.KeyID), context: maps.Clone(e.EncryptionContext), aliases: []string{pageAlias}}
		for name, value := range r.context {
			r.context[name] = names.Replace(value)
		}
		if e.Operation == "GenerateDataKey" {
			r.alias = pageAlias
		}
		if e.Operation != "ReEncrypt" {
			all = append(all, r)
			continue
		}
		from, to := r, r
		from.action, from.resource = "kms:ReEncryptFrom", names.Replace(e.SourceKeyID)
		to.action = "kms:ReEncryptTo"
		all = append(all, from, to)
	}
	return all
}

func TestPolicies(t *testing.T) {
	all := policies(t)
	seen := record(t)
	if got, want := actions(seen.app), []string{"kms:Decrypt", "kms:GenerateDataKey"}; !slices.Equal(got, want) {
		t.Errorf("the application asked for %v, the page says %v", got, want)
	}
	if got, want := actions(seen.operator), []string{"kms:DescribeKey", "kms:GenerateDataKey", "kms:ReEncryptFrom", "kms:ReEncryptTo"}; !slices.Equal(got, want) {
		t.Errorf("the operator asked for %v, the page says %v", got, want)
	}
	for _, tt := range []struct {
		policy   string
		requests []request
		change   func(*request)
		allowed  bool
	}{
		{"application", seen.app, nil, true},
		{"application-by-alias", seen.app, nil, true},
		{"operator", seen.operator, nil, true},
		{"key", as(pageApp, seen.app), nil, true},
		{"key", as(pageOps, onKey(seen.operator, pageKey)), nil, true},

		{"application", crypto(seen.app), func(r *request) { r.context["colseal:keyring"] = "other" }, false},
		{"application", crypto(seen.app), func(r *request) { r.context["more"] = "x" }, false},
		{"application", crypto(seen.app), func(r *request) { r.context = nil }, false},
		{"application", crypto(seen.app), func(r *request) { r.resource = otherKey }, false},
		{"application-by-alias", crypto(seen.app), func(r *request) { r.aliases = []string{"alias/other"} }, false},
		{"application", crypto(seen.operator), func(r *request) {
			if r.action == "kms:GenerateDataKey" {
				r.action = "kms:GenerateDataKeyWithoutPlaintext"
			}
		}, false},
		{"reader", only(seen.app, "kms:Decrypt"), nil, true},
		{"reader", only(seen.app, "kms:GenerateDataKey"), nil, false},
		{"tenant", scoped(seen.app, "tenant:42"), nil, true},
		{"tenant", scoped(seen.app, ""), nil, false},
		{"operator", only(seen.app, "kms:Decrypt"), nil, false},
		{"operator", crypto(seen.operator), func(r *request) { r.resource = otherKey }, false},
		{"operator", crypto(seen.operator), func(r *request) { r.context["colseal:keyring"] = "other" }, false},
		{"auditor", crypto(append(slices.Clone(seen.app), seen.operator...)), nil, false},
		{"auditor", only(seen.operator, "kms:DescribeKey"), nil, true},

		{"key", as(pageAudit, crypto(seen.app)), nil, false},
		{"key", as(pageRoot, crypto(seen.app)), nil, false},
		{"key", as(pageOps, only(seen.app, "kms:Decrypt")), nil, false},
		{"key", as(pageApp, only(seen.operator, "kms:ReEncryptFrom")), nil, false},
		{"key", as(pageApp, crypto(seen.app)), func(r *request) { r.context["colseal:keyring"] = "other" }, false},
	} {
		p, ok := all[tt.policy]
		if !ok || len(tt.requests) == 0 {
			t.Errorf("there is no policy %s on the page, or no request to try it with", tt.policy)
			continue
		}
		for _, r := range tt.requests {
			r.context = maps.Clone(r.context)
			if tt.change != nil {
				tt.change(&r)
			}
			switch got, err := p.allows(r); {
			case err != nil:
				t.Errorf("%s: %v", tt.policy, err)
			case got != tt.allowed:
				t.Errorf("policy %s: allowed is %v, want %v: %+v", tt.policy, got, tt.allowed, r)
			}
		}
	}
}

// The application's and the operator's policies name no action that is never asked for.
func TestPoliciesAreLeast(t *testing.T) {
	all := policies(t)
	seen := record(t)
	for name, used := range map[string][]string{
		"application": actions(seen.app), "application-by-alias": actions(seen.app), "tenant": actions(seen.app),
		"reader": {"kms:Decrypt"}, "operator": actions(seen.operator),
	} {
		for _, s := range all[name].Statement {
			for _, a := range s.Action {
				if s.Effect == "Allow" && !slices.Contains(used, a) {
					t.Errorf("policy %s allows %s, which is not asked for", name, a)
				}
			}
		}
	}
}

// The page lists the encryption context as it is sent.
func TestPageListsTheEncryptionContext(t *testing.T) {
	page, err := os.ReadFile("../../docs/aws.md")
	if err != nil {
		t.Fatal(err)
	}
	sent := map[string]bool{}
	for _, r := range record(t).app {
		for name := range r.context {
			sent[name] = true
		}
	}
	if len(sent) != 4 {
		t.Errorf("the context has %v", sent)
	}
	for name := range sent {
		if !strings.Contains(string(page), "\n| `"+name+"` |") {
			t.Errorf("docs/aws.md does not list %s", name)
		}
	}
}

func actions(rs []request) []string {
	set := map[string]bool{}
	for _, r := range rs {
		set[r.action] = true
	}
	return slices.Sorted(maps.Keys(set))
}

func where(rs []request, keep func(request) bool) []request {
	return slices.DeleteFunc(slices.Clone(rs), func(r request) bool { return !keep(r) })
}

func only(rs []request, action string) []request {
	return where(rs, func(r request) bool { return r.action == action })
}

func crypto(rs []request) []request {
	return where(rs, func(r request) bool { return r.action != "kms:DescribeKey" })
}

func onKey(rs []request, key string) []request {
	return where(rs, func(r request) bool { return r.resource == key })
}

func scoped(rs []request, scope string) []request {
	return where(rs, func(r request) bool { return r.context["colseal:scope"] == scope })
}

func as(principal string, rs []request) []request {
	rs = slices.Clone(rs)
	for i := range rs {
		rs[i].principal = principal
	}
	return rs
}

// The evaluation above can refuse, and refuses what it does not know.
func TestEvaluation(t *testing.T) {
	var p policy
	const text = `{"Version": "2012-10-17", "Statement": [
		{"Sid": "a", "Effect": "Allow", "Action": "kms:De*", "Resource": "arn:aws:kms:*:1:key/*"},
		{"Sid": "d", "Effect": "Deny", "Action": "kms:*", "NotResource": "arn:aws:kms:*:1:key/a"}]}`
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		t.Fatal(err)
	}
	for r, want := range map[[2]string]bool{
		{"kms:Decrypt", "arn:aws:kms:eu-west-1:1:key/a"}: true,
		{"kms:Encrypt", "arn:aws:kms:eu-west-1:1:key/a"}: false,
		{"kms:Decrypt", "arn:aws:kms:eu-west-1:1:key/b"}: false,
	} {
		if got, err := p.allows(request{action: r[0], resource: r[1]}); err != nil || got != want {
			t.Errorf("%v: %v, %v", r, got, err)
		}
	}
	p.Statement[0].Condition = map[string]map[string]words{"StringEqualsIfExists": {"kms:RequestAlias": {"x"}}}
	if _, err := p.allows(request{action: "kms:Decrypt", resource: "arn:aws:kms:eu-west-1:1:key/a"}); err == nil {
		t.Error("an operator that is not known was passed over")
	}
}
