// Package before has what the application did before Colseal, and cannot do with it.
package before

import (
	"context"

	"gorm.io/gorm"
)

// Find lists the ids of the customers of a city whose name contains a text.
func Find(ctx context.Context, db *gorm.DB, city, part string) (ids []uint, err error) {
	err = db.WithContext(ctx).Table("customers").Where("city = ? AND name ILIKE ?", city, "%"+part+"%").Pluck("id", &ids).Error
	return ids, err
}
