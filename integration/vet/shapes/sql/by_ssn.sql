SELECT id FROM vet_people ORDER BY ssn
