package sqlplan

import "github.com/colseal/colseal"

// Refusal is what the analysis returns for a statement that it refuses.
type Refusal = colseal.QueryError
