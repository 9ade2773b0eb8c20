package snippets

import (
	"context"

	"github.com/colseal/colseal/kms"
)

func oneService(ctx context.Context) (kms.Wrapper, error) {
	key, err := kms.Open(ctx, "gcpkms:///projects/app/locations/europe/keyRings/db/cryptoKeys/app")
	return key, err
}
