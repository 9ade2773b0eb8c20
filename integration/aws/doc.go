// Package aws holds the policies of docs/aws-*.md to what the library really asks of KMS:
// they are parsed, and evaluated for the requests that a KMS server for tests recorded.
package aws
