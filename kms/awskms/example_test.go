package awskms_test

import (
	"context"
	"log"

	"github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/colseal/colseal/kms/awskms"
)

func Example() {
	ctx := context.Background()
	cfg, err := config.LoadDefaultConfig(ctx)
	if err != nil {
		log.Fatal(err)
	}
	w := awskms.New(sdk.NewFromConfig(cfg), "alias/app",
		awskms.WithTrustedKeys("111122223333")) // only keys of our own account unwrap
	if err := w.Check(ctx); err != nil {
		log.Fatal(err)
	}
}
