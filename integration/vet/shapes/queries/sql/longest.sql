SELECT id FROM vet_people WHERE length(ssn) > 3
