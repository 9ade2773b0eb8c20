SELECT id FROM people WHERE age < ?
SELECT id FROM people WHERE age <= 30 AND ?1 > age AND NOT people.age >= ?2
SELECT id FROM people WHERE age BETWEEN ? AND ? OR age NOT BETWEEN 3 AND 4 OR NOT (age BETWEEN ? AND 9)
SELECT id FROM people WHERE (age, id) > (?, ?) ORDER BY age, id LIMIT 10
SELECT id FROM people WHERE (org, age) < (?, ?)
SELECT id FROM people ORDER BY age
SELECT min(age), max(age) AS m FROM people WHERE age >= 0
SELECT max(age, ?) FROM people WHERE age >= 0
SELECT id, sum(id) OVER (ORDER BY age RANGE 1 PRECEDING) FROM people WHERE age >= 0
SELECT id FROM people WHERE token > :t ORDER BY token
SELECT age < 3 FROM people
SELECT id FROM people WHERE id > 0 AND age >= ? AND ? > age
SELECT max(age, ?), min(id, 3) FROM people WHERE age >= 0
SELECT max(age, ?) FROM people
SELECT min(age, id) FROM people WHERE age >= 0
SELECT id FROM people WHERE age < 30.5
SELECT max(name, ?) FROM people
