// Package planted shows that the tests would notice: it puts a bug into the analysis, the kind that sends plaintext, and
// wants the suites of packages shapes and corpus to fail for the right reason. The source stays as it is: the compiler
// reads an overlay in its place.
package planted
