package sqlplan

// Blank returns a text of the same length in which comments are blank and the inside of every
// literal is hidden, so that it can be shown; "" if the text cannot be cut into tokens.
func (p *Planner) Blank(sql string) string { return p.blank(sql) }
