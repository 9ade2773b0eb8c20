module github.com/colseal/colseal/kms/agekms

go 1.26.0

require filippo.io/age v1.3.1

require (
	filippo.io/hpke v0.4.0 // indirect
	github.com/aws/aws-sdk-go-v2 v1.38.2 // indirect
	github.com/aws/aws-sdk-go-v2/internal/configsources v1.4.5 // indirect
	github.com/aws/aws-sdk-go-v2/internal/endpoints/v2 v2.7.5 // indirect
	github.com/aws/aws-sdk-go-v2/service/kms v1.45.0 // indirect
	github.com/aws/smithy-go v1.23.0 // indirect
	github.com/colseal/colseal v0.0.0
	golang.org/x/crypto v0.45.0 // indirect
	golang.org/x/sys v0.38.0 // indirect
)

replace github.com/colseal/colseal => ../..
