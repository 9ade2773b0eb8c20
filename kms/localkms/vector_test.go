package localkms_test

// KEK "0123456789abcdef0123456789abcdef", encryption context keyring=app,
// purpose=data.
const (
	vectorKeyID     = "localkms:0c6630ad2e867d351f3c9c77a0aa3e67"
	vectorBlob      = "010c6630ad2e867d351f3c9c77a0aa3e6765005f65ae21d40546c6203923384e6265498e14b95fd83f53b2138c687d82cd7afbd4ee7c0900fb4ad5949d24f79c45bc1908bf59f635ccae09aee8"
	vectorPlaintext = "e8afae71ef1321e3f7bc550aa347854a83da9ab643766a7151a43b0baf90ee40"
)
