SELECT id FROM vet_people WHERE email = $1
