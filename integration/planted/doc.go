// Package planted shows that the tests would notice: it puts a bug into the analysis or what is kept of a session, the kind that sends plaintext, and
// wants the suites of packages shapes, corpus and sqlite to fail for the right reason. The source stays as it is: the compiler
// reads an overlay in its place.
package planted
