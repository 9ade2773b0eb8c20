SELECT id FROM people WHERE age < $1
SELECT id FROM people WHERE age <= 30 AND $1 > age AND people.age >= $2::int
SELECT id FROM people WHERE NOT (age > $1 OR age <= 7) AND NOT NOT age < $2
SELECT id FROM people WHERE (NOT age < $1) IS TRUE OR NOT (age < $2) IS NOT TRUE
SELECT id FROM people WHERE age BETWEEN $1 AND $2 OR age NOT BETWEEN SYMMETRIC 3 AND 4 OR NOT (age BETWEEN $1 AND 9) OR NOT age NOT BETWEEN $1 AND 9
SELECT id, age < $1, CASE WHEN age > $2 THEN 1 END FROM people
SELECT id FROM people WHERE (age, id) > ($1, $2) ORDER BY age, id LIMIT 10
SELECT id FROM people WHERE (org, age, id) < ($1, $2, $3)
SELECT id FROM people WHERE NOT (org, age) >= ($1, $2)
SELECT id FROM people WHERE (age, born) > ($1, $2)
SELECT id FROM people WHERE age = $1 AND age IN ($1, 200) AND age <> ALL($2) AND age = ANY(ARRAY[$1,3])
UPDATE people SET age = $1 WHERE age < $1
INSERT INTO people(age) VALUES (200)
SELECT id FROM people WHERE age < 2000
SELECT id FROM people WHERE born >= '-infinity' OR born IS NULL ORDER BY born DESC NULLS LAST
SELECT id FROM people ORDER BY age
SELECT id, age AS a FROM people WHERE age >= $1 ORDER BY a
SELECT id, age FROM people WHERE age >= $1 ORDER BY 2
SELECT * FROM people WHERE age >= $1 ORDER BY age
SELECT id FROM people WHERE age <> $1 ORDER BY age
SELECT id FROM people WHERE NOT (age < $1) ORDER BY age
SELECT id FROM people WHERE age < $1 OR id = 2 ORDER BY age
SELECT id FROM people WHERE age < $1 OR born IS NULL ORDER BY age
SELECT id FROM people WHERE (age < $1) IS NOT FALSE ORDER BY age
SELECT id FROM people WHERE (id, age) > (1, $1) ORDER BY age
SELECT id FROM people WHERE age = ANY($1) ORDER BY age
SELECT id FROM people WHERE age IN (SELECT age FROM people) ORDER BY age
SELECT id FROM people WHERE COALESCE(age, $1) = $2 ORDER BY age
SELECT id FROM people GROUP BY id, age HAVING age > $1 ORDER BY age
SELECT p.id FROM people p LEFT JOIN people q ON q.age >= $1 ORDER BY q.age
SELECT p.id FROM people p LEFT JOIN people q ON p.age >= $1 ORDER BY p.age
SELECT p.id FROM people p RIGHT JOIN people q ON p.age >= $1 ORDER BY p.age
SELECT p.id FROM people p FULL JOIN people q ON p.age >= $1 ORDER BY p.age
SELECT p.id FROM people p JOIN people q ON p.age >= $1 AND p.age = q.age ORDER BY q.age
SELECT p.id FROM people p JOIN people q ON p.age >= $1 ORDER BY q.age
SELECT a FROM (SELECT age AS a FROM people WHERE age > $1) s ORDER BY a
SELECT a FROM (SELECT age AS a FROM people) s WHERE a > $1 ORDER BY a
SELECT id FROM people p WHERE EXISTS (SELECT 1 FROM people q WHERE p.age > $1) ORDER BY p.age
WITH w AS (SELECT age FROM people WHERE age > $1) SELECT age FROM w ORDER BY age
SELECT age FROM people WHERE age > $1 UNION SELECT age FROM people WHERE age = 3 ORDER BY age
SELECT age FROM people WHERE age > $1 UNION SELECT age FROM people ORDER BY age
SELECT age FROM people EXCEPT SELECT age FROM people WHERE age > $1 ORDER BY age
SELECT age FROM people INTERSECT SELECT age FROM people WHERE age > $1 ORDER BY age
SELECT min(age), max(age) AS m, count(*) FROM people WHERE age >= 0
SELECT org, max(age) FILTER (WHERE id > 1) FROM people WHERE age >= 0 GROUP BY org HAVING count(*) > 1 ORDER BY min(age)
SELECT min(age) FROM people
SELECT min(age) OVER () FROM people WHERE age >= 0
SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY age) FROM people WHERE age >= 0
SELECT percentile_disc($1) WITHIN GROUP (ORDER BY age), percentile_disc(($2)) WITHIN GROUP (ORDER BY age), percentile_disc($3::numeric) WITHIN GROUP (ORDER BY age) FROM people WHERE age >= $4
SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY age) FROM people WHERE age >= 0
SELECT rank(30) WITHIN GROUP (ORDER BY age) FROM people WHERE age >= 0
SELECT rank(30, 1) WITHIN GROUP (ORDER BY age, id) FROM people WHERE age >= 0
SELECT cume_dist(1, $1) WITHIN GROUP (ORDER BY id, born) FROM people WHERE born >= '-infinity'
SELECT id, rank() OVER (ORDER BY age), first_value(age) OVER (PARTITION BY org ORDER BY age DESC) FROM people WHERE age >= 0
SELECT id, sum(id) OVER (ORDER BY age RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) FROM people WHERE age >= 0
SELECT id, sum(id) OVER (ORDER BY age ROWS 1 PRECEDING) FROM people WHERE age >= 0
SELECT array_agg(id ORDER BY age) FROM people WHERE age >= 0
SELECT DISTINCT ON (age) id FROM people WHERE age >= 0 ORDER BY age, id
SELECT id FROM people WHERE token > $1 ORDER BY token LIMIT 5
SELECT id FROM people WHERE (token, id) > ($1, $2) ORDER BY token, id
SELECT id FROM people WHERE token BETWEEN $1 AND $2
SELECT min(token) FROM people WHERE token >= $1
SELECT id, rank() OVER (ORDER BY token) FROM people WHERE token >= $1
SELECT id FROM people WHERE name > $1 ORDER BY name
SELECT id FROM jobs ORDER BY at
SELECT min(at) FROM jobs
SELECT id FROM people WHERE age < born
SELECT id FROM people p WHERE p.age < (SELECT $1)
SELECT id FROM people WHERE age < ANY($1)
SELECT GREATEST(age, $1) FROM people
SELECT id FROM asides WHERE n < $1
INSERT INTO asides(n) VALUES ($1)
SELECT id FROM people ORDER BY age USING <
SELECT $1 < 5, age FROM people WHERE age = $1
CREATE VIEW young AS SELECT id FROM people WHERE age < 7
CREATE VIEW sorted AS SELECT id FROM jobs ORDER BY at
CREATE INDEX ON people (age) WHERE age < 7
CREATE INDEX ON people (age, id)
INSERT INTO people(id, age) VALUES (1, $1) ON CONFLICT (id) DO UPDATE SET age = excluded.age WHERE people.age < $1
CREATE TABLE people (id bigint, age bytea) PARTITION BY RANGE (age)
CREATE TABLE people (id bigint, age bytea) PARTITION BY HASH (age)
SELECT id FROM people WHERE age >= $1 AND id > 0 AND $2 >= age
SELECT id FROM people p WHERE (age, id) > ($1, $4) AND age <= $3 OR NOT (age > $1 AND age < $2) OR p.age > $1 AND age < $2
SELECT id, age > $1 AND age < $2 FROM people WHERE (age > $1 AND age < $2) IS NOT TRUE
DELETE FROM people WHERE token > $1 AND token < $2
SELECT id FROM people WHERE age >= ANY($1) AND NOT age < ANY($1) AND age > ALL($1) AND NOT age <= ALL('{1,200}'::int[])
SELECT id FROM people WHERE age < ANY(ARRAY[$1,3]) OR NOT age > ANY(ARRAY[$1,3]::int[]) OR age OPERATOR(pg_catalog.<) ALL(ARRAY[$2,NULL]) OR age < ANY(NULL) OR (NOT age > ANY('{5}'))
SELECT id FROM people WHERE age >= ANY($1) ORDER BY age
SELECT id FROM people WHERE age >= ALL($1) ORDER BY age
SELECT id FROM people WHERE age < ANY(SELECT age FROM people)
SELECT id FROM people WHERE age < ANY(ARRAY[age, 3])
SELECT id FROM people WHERE token < ANY($1)
SELECT id FROM people WHERE (age, id) < ANY($1)
SELECT id FROM people WHERE $1 < ALL(ARRAY[age, born])
SELECT id, GREATEST(age, $1) FROM people WHERE age >= 0 AND LEAST(age, 7, NULL) = $2
SELECT LEAST(p.age, q.age) AS x FROM people p JOIN people q ON p.age >= 0 AND q.age = p.age ORDER BY x, LEAST(p.age, q.age, 3), max(GREATEST(p.age, 9)) OVER ()
SELECT LEAST(p.age, q.age) FROM people p JOIN people q ON p.age >= 0
SELECT GREATEST(age, id) FROM people WHERE age >= 0
SELECT GREATEST(token, $1) FROM people WHERE token >= $1
SELECT GREATEST(age, born) FROM people WHERE age >= 0 AND born >= $1
SELECT GREATEST(at, $1), GREATEST(id, $2) FROM jobs
SELECT max(GREATEST(age, $1)) FROM people WHERE age >= 0
SELECT GREATEST(COALESCE(age, 5), 4) FROM people WHERE age >= 0
SELECT min(age) FROM people WHERE age >= 0 OR age IS NULL
SELECT min(age) /* the youngest */ FROM people WHERE age >= 0
SELECT min(/* of */ age) AS m /* the youngest */ FROM people WHERE age >= 0; DELETE FROM jobs WHERE id = 1
SELECT max(p.age) AS "M x" FROM people p WHERE (p.age > $1) AND org IN (SELECT max(at) FROM jobs) -- the end
SELECT pg_catalog.min(at) m FROM jobs;
SELECT id, (SELECT min(q.age) FROM people q WHERE q.org = p.org AND q.age>0) FROM people p WHERE id = (SELECT max(age) FROM people WHERE age < 9)
SELECT min(age) FROM people WHERE age >= 0 UNION SELECT max(age) FROM people WHERE age >= 0
WITH w AS (SELECT min(age) FROM people WHERE age > 0) SELECT * FROM w
SELECT min(age) FROM (SELECT age FROM people WHERE age >= 0) s
SELECT min(p.age) FROM people p JOIN people q ON p.age > 0
SELECT min(age) FROM people WHERE age >= 0 LIMIT 1
EXPLAIN (ANALYZE, COSTS OFF) SELECT min(age) FROM people WHERE age >= 0
EXPLAIN ANALYZE VERBOSE SELECT max(age) FROM people WHERE age >= 0
EXPLAIN (COSTS OFF) INSERT INTO people (age) SELECT min(age) FROM people WHERE age >= 0 RETURNING id
SELECT (SELECT min(p.age) FROM jobs) FROM people p WHERE p.age > 0
SELECT (min(age)) FROM people WHERE age >= 0
SELECT min(age) FILTER (WHERE id > 1) FROM people WHERE age >= 0
SELECT id FROM people WHERE age > ALL($1) AND age < $2
SELECT id FROM people WHERE age > ANY($1) AND age < $2
SELECT min(age) FROM people WHERE age >= 0 GROUP BY ()
SELECT min(age) FROM people WHERE age >= 0 WINDOW w AS (ORDER BY id)
SELECT min(age) FROM people WHERE age >= 0 ORDER BY 1
SELECT DISTINCT min(age) FROM people WHERE age >= 0
SELECT id FROM people WHERE age < 30.5
