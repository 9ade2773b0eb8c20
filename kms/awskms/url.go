package awskms

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/config"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/colseal/colseal/internal/hint"
	"github.com/colseal/colseal/kms"
)

func init() {
	kms.Register("awskms", func(ctx context.Context, u *url.URL) (kms.Wrapper, error) { return OpenURL(ctx, u) })
}

// settings are what a URL may say.
type settings struct {
	key      string
	region   string
	endpoint string
	profile  string
	opts     []Option
}

// OpenURL makes a Wrapper from a URL and the SDK's default configuration: the
// environment, the shared configuration files, and the credentials of the web
// identity, container or instance. kms.Open calls it for the scheme awskms. It does
// not ask KMS anything.
//
//	awskms:///alias/app?region=eu-west-1
//	awskms:///arn:aws:kms:eu-west-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab
//
// The path is a key id, key ARN, alias name or alias ARN. Parameters, all optional:
//
//	region       the Region; default that of an ARN, else the SDK's configuration
//	endpoint     the URL of another server of the KMS protocol
//	profile      a profile of the shared configuration files
//	timeout      as WithTimeout, in Go's notation: "5s"
//	grant_token  as WithGrantTokens; may be repeated
//	trust        as WithTrustedKeys; may be repeated
//
// Any other parameter is an error.
func OpenURL(ctx context.Context, u *url.URL) (*Wrapper, error) {
	s, err := parseURL(u)
	if err != nil {
		return nil, hint.Errorf("awskms: %w", err)
	}
	var load []func(*config.LoadOptions) error
	if s.region != "" {
		load = append(load, config.WithRegion(s.region))
	}
	if s.profile != "" {
		load = append(load, config.WithSharedConfigProfile(s.profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fmt.Errorf("awskms: cannot load the AWS configuration of this process: %w", err)
	}
	if cfg.Region == "" {
		return nil, hint.With(fmt.Errorf("awskms: no AWS Region for key %s", s.key), "add ?region=REGION to the URL or set AWS_REGION")
	}
	client := awskms.NewFromConfig(cfg, func(o *awskms.Options) {
		if s.endpoint != "" {
			o.BaseEndpoint = &s.endpoint
		}
	})
	return New(client, s.key, s.opts...), nil
}

func parseURL(u *url.URL) (settings, error) {
	s := settings{key: strings.TrimPrefix(u.Path, "/")}
	if u.Opaque != "" || u.Host != "" || u.User != nil || u.Fragment != "" || s.key == "" {
		return s, fmt.Errorf("the URL must be written awskms:///KEY with three slashes, KEY being a key id, key ARN or alias/NAME; a server goes into ?endpoint=")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return s, fmt.Errorf("the URL's parameters cannot be parsed: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if err := s.set(name, query[name]); err != nil {
			return s, err
		}
	}
	if a, ok := parseKeyARN(s.key); ok {
		if s.region == "" {
			s.region = a.Region
		}
		if s.region != a.Region && !isMultiRegion(a) {
			return s, fmt.Errorf("key %s is in Region %s but the URL says region=%s; leave the parameter out, or use a multi-Region key", s.key, a.Region, s.region)
		}
	}
	return s, nil
}

// set applies one parameter of the URL.
func (s *settings) set(name string, values []string) error {
	switch name {
	case "grant_token":
		s.opts = append(s.opts, WithGrantTokens(values...))
		return nil
	case "trust":
		s.opts = append(s.opts, WithTrustedKeys(values...))
		return nil
	case "region", "endpoint", "profile", "timeout":
	default:
		return fmt.Errorf("the URL has an unknown parameter %q; known are region, endpoint, profile, timeout, grant_token, trust", name)
	}
	if len(values) != 1 || values[0] == "" {
		return fmt.Errorf("the URL's parameter %q needs exactly one value", name)
	}
	v := values[0]
	switch name {
	case "region":
		s.region = v
	case "profile":
		s.profile = v
	case "endpoint":
		e, err := url.Parse(v)
		if err != nil || e.Host == "" || e.User != nil || e.Scheme != "http" && e.Scheme != "https" {
			return fmt.Errorf("the URL's endpoint must be an http or https URL, such as https://kms.example.com")
		}
		s.endpoint = v
	case "timeout":
		d, err := time.ParseDuration(v)
		if err != nil || d <= 0 {
			return fmt.Errorf("the URL's timeout %q must be a duration above zero, such as 5s", v)
		}
		s.opts = append(s.opts, WithTimeout(d))
	}
	return nil
}
