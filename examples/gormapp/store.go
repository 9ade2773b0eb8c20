// Command gormapp is a sample application on GORM, for docs/adopt-gorm.md: it keeps customers, and
// notes about them.
package main

import (
	"context"
	"strings"
	"time"

	"gorm.io/gorm"

	"github.com/colseal/colseal/schema"
)

// Customer is a row of customers.
type Customer struct {
	ID        uint
	Name      string    `gorm:"not null" seal:"random,stage=copy"`
	Email     string    `gorm:"not null;uniqueIndex" seal:"deterministic,stage=copy"`
	Born      time.Time `gorm:"type:date;not null" seal:"random,kind=date,stage=copy"`
	City      string    `gorm:"not null"`
	Notes     []Note
	CreatedAt time.Time
	UpdatedAt time.Time
	DeletedAt gorm.DeletedAt `gorm:"index"`
}

// Note is a row of notes.
type Note struct {
	ID         uint
	CustomerID uint   `gorm:"not null;index"`
	Text       string `gorm:"not null" seal:"random,stage=copy"`
}

var tables = schema.Must(schema.Model("customers", Customer{}), schema.Model("notes", Note{}))

// Store is the application's only way to the database.
type Store struct{ db *gorm.DB }

// Migrate makes the tables and what they lack, at each start.
func (s Store) Migrate(ctx context.Context) error {
	return s.db.WithContext(ctx).AutoMigrate(&Customer{}, &Note{})
}

// Add stores a customer with the notes.
func (s Store) Add(ctx context.Context, c *Customer) error {
	return s.db.WithContext(ctx).Create(c).Error
}

// ByEmail finds a customer with the notes by the e-mail address.
func (s Store) ByEmail(ctx context.Context, email string) (c Customer, err error) {
	err = s.db.WithContext(ctx).Preload("Notes").Where(&Customer{Email: email}).First(&c).Error
	return c, err
}

// InCity lists the customers of a city.
func (s Store) InCity(ctx context.Context, city string) (all []Customer, err error) {
	err = s.db.WithContext(ctx).Preload("Notes").Where("city = ?", city).Order("id").Find(&all).Error
	return all, err
}

// Rename changes a customer's name in a transaction.
func (s Store) Rename(ctx context.Context, email, name string) error {
	return s.db.WithContext(ctx).Transaction(func(tx *gorm.DB) error {
		var c Customer
		if err := tx.Where("email = ?", email).First(&c).Error; err != nil {
			return err
		}
		c.Name = name
		return tx.Save(&c).Error
	})
}

// Remove marks a customer as deleted.
func (s Store) Remove(ctx context.Context, email string) error {
	return s.db.WithContext(ctx).Where("email = ?", email).Delete(&Customer{}).Error
}

// Find lists the customers of a city whose name contains a text. The names are compared here, where
// they are in plaintext.
func (s Store) Find(ctx context.Context, city, part string) (found []Customer, err error) {
	all, err := s.InCity(ctx, city)
	for _, c := range all {
		if strings.Contains(strings.ToLower(c.Name), strings.ToLower(part)) {
			found = append(found, c)
		}
	}
	return found, err
}
