module github.com/colseal/colseal/kms/pkcs11

go 1.26.0

require (
	github.com/colseal/colseal v0.0.0
	github.com/miekg/pkcs11 v1.1.2
)

require (
	github.com/aws/aws-sdk-go-v2 v1.38.2 // indirect
	github.com/aws/aws-sdk-go-v2/internal/configsources v1.4.5 // indirect
	github.com/aws/aws-sdk-go-v2/internal/endpoints/v2 v2.7.5 // indirect
	github.com/aws/aws-sdk-go-v2/service/kms v1.45.0 // indirect
	github.com/aws/smithy-go v1.23.0 // indirect
)

replace github.com/colseal/colseal => ../..
