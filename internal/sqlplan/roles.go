package sqlplan

import "github.com/colseal/colseal/internal/sqlparse"

// An argument is one of the caller's.
type argument struct {
	number int
	name   string
}

func argumentOf(p *sqlparse.Param) argument { return argument{p.Number, p.Name} }

// settleRoles sees to it that an argument which is sealed in one place does not leave the
// program in the clear by another. Where nothing else is known of it ($1 = ” OR
// email = $1), it is sealed as well. Where it meets a plain column, it is meant to be
// plain there; where an operator or function needs its plaintext, the statement is
// refused, since that would show the server what it must not see.
func (a *analysis) settleRoles() error {
	for {
		roles := a.sealedRoles()
		settled := true
		for _, s := range a.slots {
			if s.param == nil {
				continue
			}
			role, ok := roles[argumentOf(s.param)]
			r := s.t.root()
			switch {
			case !ok || r.state == sealed:
			case r.state == free:
				if err := a.follow(s, role); err != nil {
					return err
				}
				settled = false
			case r.forced != "":
				return a.refuseIdentity(s.pos(), role.t.first(), "a parameter that is sealed elsewhere is also an operand of "+r.forced,
					"the server would see its plaintext there; if it may, give the value a second time, as a parameter of its own")
			}
		}
		if settled {
			return nil
		}
	}
}

// sealedRoles returns a sealed occurrence of every argument that has one.
func (a *analysis) sealedRoles() map[argument]*slot {
	roles := map[argument]*slot{}
	for _, s := range a.slots {
		if s.param != nil && s.t.root().state == sealed && roles[argumentOf(s.param)] == nil {
			roles[argumentOf(s.param)] = s
		}
	}
	return roles
}

// follow seals a free occurrence of an argument as another one is.
func (a *analysis) follow(s, role *slot) error {
	r := role.t.root()
	whole := role.array || r.array
	if s.array && !whole {
		return a.refuseIdentity(s.pos(), r.first(), "a parameter is a single sealed value in one place and an array in another", "use two parameters")
	}
	t := newSealed(r.cols[0])
	t.array = whole && !s.array
	_, err := a.unify(s.t, t, s.pos(), "another use of the parameter")
	return err
}
