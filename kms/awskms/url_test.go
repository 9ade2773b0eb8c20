package awskms_test

import (
	"bytes"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/awskms"
	"github.com/colseal/colseal/kms/kmstest"
)

// isolate keeps the machine's AWS configuration out of a test.
func isolate(t *testing.T) {
	dir := t.TempDir()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "test", "AWS_SESSION_TOKEN": "", "AWS_PROFILE": "",
		"AWS_REGION": "", "AWS_DEFAULT_REGION": "", "AWS_ENDPOINT_URL": "", "AWS_ENDPOINT_URL_KMS": "", "AWS_EC2_METADATA_DISABLED": "true",
		"AWS_CONFIG_FILE": filepath.Join(dir, "config"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(dir, "credentials"),
	} {
		t.Setenv(name, value)
	}
}

func TestOpenURL(t *testing.T) {
	isolate(t)
	s := kmstest.Start(t)
	key := s.CreateKey(kmstest.Alias("alias/app"), kmstest.MultiRegion("us-east-1"))
	endpoint := "endpoint=" + url.QueryEscape(s.URL())
	for _, u := range []string{
		"awskms:///alias/app?region=eu-west-1&" + endpoint,
		"awskms:///" + key + "?" + endpoint, // the Region is the ARN's
		"awskms:///" + key + "?region=us-east-1&" + endpoint,
		"awskms:///arn:aws:kms:eu-west-1:111122223333:alias/app?" + endpoint,
		"awskms:///" + key[strings.LastIndex(key, "/")+1:] + "?region=us-east-1&timeout=5s&grant_token=a&grant_token=b&trust=111122223333&" + endpoint,
	} {
		w, err := kms.Open(t.Context(), u)
		if err != nil {
			t.Errorf("%s: %v", u, err)
			continue
		}
		k := generate(t, w)
		got, err := w.Unwrap(t.Context(), k.Wrapped, ec)
		if err != nil || !bytes.Equal(got, k.Plaintext) {
			t.Errorf("%s: %v", u, err)
		}
		if err := w.(kms.Checker).Check(t.Context()); err != nil {
			t.Errorf("%s: %v", u, err)
		}
	}
}

// The environment's own variables work, as they do for every AWS program.
func TestOpenURLFromEnvironment(t *testing.T) {
	isolate(t)
	s := kmstest.Start(t, kmstest.WithRegion("ap-south-1"))
	s.CreateKey(kmstest.Alias("alias/app"))
	t.Setenv("AWS_REGION", "ap-south-1")
	t.Setenv("AWS_ENDPOINT_URL_KMS", s.URL())
	w, err := kms.Open(t.Context(), "awskms:///alias/app")
	if err != nil {
		t.Fatal(err)
	}
	generate(t, w)
}

func TestOpenURLErrors(t *testing.T) {
	isolate(t)
	const key = "awskms:///arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
	for in, want := range map[string]string{
		"awskms://alias/app?region=x":                            "three slashes",
		"awskms:alias/app":                                       "three slashes",
		"awskms:///":                                             "three slashes",
		"awskms:///alias/app#x":                                  "three slashes",
		"awskms:///alias/app":                                    "no AWS Region",
		"awskms:///alias/app?regoin=eu-west-1":                   `unknown parameter "regoin"; known are region,`,
		"awskms:///alias/app?region=eu-west-1&region=eu-west-2":  "exactly one value",
		"awskms:///alias/app?region=":                            "exactly one value",
		"awskms:///alias/app?region=eu-west-1;x":                 "cannot be parsed",
		"awskms:///alias/app?region=eu-west-1&timeout=5":         "must be a duration",
		"awskms:///alias/app?region=eu-west-1&timeout=-5s":       "must be a duration",
		"awskms:///alias/app?region=eu-west-1&endpoint=kms:8080": "must be an http or https URL",
		"awskms:///alias/app?region=x&endpoint=http://u:pw@h":    "must be an http or https URL",
		"awskms:///alias/app?region=eu-west-1&profile=none":      "cannot load the AWS configuration",
		key + "?region=us-east-1":                                "is in Region eu-west-1 but the URL says region=us-east-1",
	} {
		_, err := kms.Open(t.Context(), in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "pw") {
			t.Errorf("%s: the error holds a password", in)
		}
	}
	u, _ := url.Parse("awskms:///alias/app?region=eu-west-1")
	if _, err := awskms.OpenURL(t.Context(), u); err != nil {
		t.Error(err)
	}
}
