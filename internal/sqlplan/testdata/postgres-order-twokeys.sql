SELECT id FROM people WHERE age < $1
SELECT id FROM people WHERE age <= 30 AND $1 > age AND people.age >= $2::int
SELECT id FROM people WHERE NOT (age > $1 OR age <= 7) AND NOT NOT age < $2
SELECT id FROM people WHERE (NOT age < $1) IS TRUE OR NOT (age < $2) IS NOT TRUE
SELECT id FROM people WHERE age BETWEEN $1 AND $2 OR age NOT BETWEEN SYMMETRIC 3 AND 4 OR NOT (age BETWEEN $1 AND 9) OR NOT age NOT BETWEEN $1 AND 9
SELECT id FROM people WHERE (age, id) > ($1, $2) ORDER BY age, id LIMIT 10
SELECT id FROM people WHERE (org, age, id) < ($1, $2, $3)
SELECT id FROM people WHERE NOT (org, age) >= ($1, $2)
SELECT id FROM people WHERE (age, born) > ($1, $2)
SELECT id FROM people WHERE age = $1 AND age IN ($1, 200) AND age <> ALL($2) AND age = ANY(ARRAY[$1,3])
UPDATE people SET age = $1 WHERE age < $1
SELECT id FROM people WHERE age < 2000
SELECT id FROM people WHERE born >= '-infinity' OR born IS NULL ORDER BY born DESC NULLS LAST
SELECT id, age AS a FROM people WHERE age >= $1 ORDER BY a
SELECT id FROM people WHERE age >= $1 ORDER BY age
SELECT id FROM jobs ORDER BY at
SELECT min(at) FROM jobs
SELECT id FROM people WHERE token > $1 OR NOT token < $2
SELECT id FROM people WHERE age >= $1 AND age < $2
SELECT id FROM people WHERE age >= ANY($1) AND NOT age < ANY($1) AND age > ALL($1) AND NOT age <= ALL('{1,200}'::int[])
SELECT GREATEST(at, $1) FROM jobs
