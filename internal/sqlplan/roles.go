package sqlplan

import (
	"slices"

	"github.com/colseal/colseal/internal/sqlparse"
)

// An argument is one of the caller's.
type argument struct {
	number int
	name   string
}

func argumentOf(p *sqlparse.Param) argument { return argument{p.Number, p.Name} }

// resolveRoles keeps an argument that is sealed in one place from leaving the program in the clear
// by another. Where nothing else is known of the argument ($1 = 'x' OR email = $1), it is sealed
// as well. Where it meets a plain column, it is meant to be plain there. Where an operator or
// function needs its plaintext, the statement is refused: it would show the server what it must not
// see.
func (a *analysis) resolveRoles() error {
	roles, todo := a.sealedRoles()
	if !slices.ContainsFunc(a.slots, func(s *slot) bool {
		return s.param != nil && s.t.root().state != sealed && roles[argumentOf(s.param)] != nil
	}) {
		return a.answer(roles)
	}
	of := map[argument][]*slot{}
	together := map[*term][]argument{} // the arguments that are sealed as soon as a term is
	for _, s := range a.slots {
		if s.param == nil || s.second.besidePlain() {
			continue
		}
		arg := argumentOf(s.param)
		of[arg] = append(of[arg], s)
		if r := s.t.root(); r.state == free {
			together[r] = append(together[r], arg)
		}
	}
	for ; len(todo) > 0; todo = todo[1:] {
		role := roles[todo[0]]
		for _, s := range of[todo[0]] {
			r := s.t.root()
			switch {
			case r.state == free && s.question != nil && !s.question.nullIf && !role.array && !role.t.root().array:
				// It is answered.
			case r.state == free:
				if s.question != nil && (role.array || role.t.root().array) {
					if err := a.compareCells(s.question); err != nil {
						return err
					}
				}
				if err := a.follow(s, role); err != nil {
					return err
				}
				for _, arg := range together[r] {
					if roles[arg] == nil {
						roles[arg] = occurrence(of[arg], s.t.root())
						todo = append(todo, arg)
					}
				}
			case r.state == plain && r.forced != "" && s.first && !a.sealedOutside(todo[0]):
				// It is compared with a plain column by what cells are compared by in the second.
			case r.state == plain && r.forced != "":
				if err := a.goOn(a.refuseOperand(s, role, r.forced)); err != nil {
					return err
				}
			}
		}
	}
	return a.answer(roles)
}

// refuseOperand refuses an occurrence of a parameter that is sealed as role.
func (a *analysis) refuseOperand(s, role *slot, what string) error {
	return a.refuseIdentity(s.pos(), role.t.first(), "a parameter that is sealed elsewhere is also an operand of "+what,
		"the server would see its plaintext there; if it may, give the value a second time, as a parameter of its own")
}

// sealedRoles returns a sealed occurrence of every argument that has one, and these
// arguments in order.
func (a *analysis) sealedRoles() (roles map[argument]*slot, args []argument) {
	roles = map[argument]*slot{}
	for _, s := range a.slots {
		if s.param == nil || s.t.root().state != sealed || s.second.besidePlain() {
			continue
		}
		if arg := argumentOf(s.param); roles[arg] == nil {
			roles[arg] = s
			args = append(args, arg)
		}
	}
	return roles, args
}

// sealedOutside reports whether an argument is sealed elsewhere than in values that go to a plain
// column as well.
func (a *analysis) sealedOutside(arg argument) bool {
	return slices.ContainsFunc(a.slots, func(s *slot) bool {
		return s.param != nil && argumentOf(s.param) == arg && s.t.root().state == sealed && (s.second == nil || s.second.pair.col.Was != nil)
	})
}

// occurrence returns the one of several slots whose term is t.
func occurrence(slots []*slot, t *term) *slot {
	return slots[slices.IndexFunc(slots, func(s *slot) bool { return s.t.root() == t })]
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
