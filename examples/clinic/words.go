package clinic

import (
	"context"
	"fmt"
	"time"

	"github.com/serverurl/serverurl/core"
)

// languages are what a clinic says in each of them.
var languages = map[string]map[string]string{
	"en": {
		"open": "These times are open: %s.", "full": "There is no open time on that day. Offer another day.",
		"not given": "That is not a time that we give. Offer one that find_times gives.", "taken": "That time is taken. Offer another.",
		"booked": "Booked: a %s for %s on %s.", "moved": "The visit is now on %s.", "canceled": "The visit on %s is canceled.",
		"none":     "There is no visit of that name and number at that time.",
		"accepted": "%s is accepted.", "not accepted": "%s is not accepted. The caller may pay directly.",
		"reminder": "Your visit is on %s.", "sent": "The text message is on its way.", "not sent": "Text messages cannot be sent just now, and none was sent.",
		"layout": "Monday January 2 at 15:04", "cleaning": "cleaning", "checkup": "check-up", "filling": "filling",
	},
	"es": {
		"open": "Estas horas están libres: %s.", "full": "No hay horas libres ese día. Ofrezca otro día.",
		"not given": "Esa no es una hora que demos. Ofrezca una de las que da find_times.", "taken": "Esa hora está ocupada. Ofrezca otra.",
		"booked": "Reservado: %s para %s el %s.", "moved": "La cita es ahora el %s.", "canceled": "La cita del %s está cancelada.",
		"none":     "No hay ninguna cita de ese nombre y número a esa hora.",
		"accepted": "Aceptamos %s.", "not accepted": "No aceptamos %s. Se puede pagar directamente.",
		"reminder": "Su cita es el %s.", "sent": "El mensaje de texto está en camino.", "not sent": "Ahora no se pueden enviar mensajes de texto, y no se ha enviado ninguno.",
		"layout": "2/1/2006 a las 15:04", "cleaning": "limpieza", "checkup": "revisión", "filling": "empaste",
	},
}

// languageOf returns the language of the clinic that is called.
func languageOf(ctx context.Context) string {
	if core.CallFrom(ctx).Tenant == "south" {
		return "es"
	}
	return "en"
}

// say returns a sentence in that language. Times are written as people say them.
func say(ctx context.Context, what string, args ...any) string {
	w := languages[languageOf(ctx)]
	for i, a := range args {
		if at, ok := a.(time.Time); ok {
			args[i] = at.Format(w["layout"])
		}
	}
	return fmt.Sprintf(w[what], args...)
}
