package snippets

import (
	"log/slog"

	sdk "github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/colseal/colseal/kms"
	"github.com/colseal/colseal/kms/awskms"
)

func twoRegions(ireland, virginia *sdk.Client) (kms.Wrapper, error) {
	key, err := kms.NewMulti(kms.MultiConfig{Logger: slog.Default()},
		awskms.New(ireland, "alias/app"), // asked first
		awskms.New(virginia, "alias/app"),
	)
	return key, err
}
