package groundwork

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

const password = "correct horse battery"

var client = newClient()

func newClient() *APIClient {
	configuration := NewConfiguration()
	configuration.Servers = ServerConfigurations{{URL: os.Getenv("BASE_URL")}}
	return NewAPIClient(configuration)
}

func seen(step string) { fmt.Printf("✓ %s\n", step) }

func must[T any](t *testing.T, value T, _ *http.Response, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func equal[T comparable](t *testing.T, came, expected T) {
	t.Helper()
	if came != expected {
		t.Fatalf("%v is not %v", came, expected)
	}
}

func signUp(t *testing.T) *UserPublic {
	email := fmt.Sprintf("%d@example.com", time.Now().UnixNano())
	body := NewUserRegister(email, password)
	user, response, err := client.UsersAPI.UsersRegisterUser(context.Background()).UserRegister(*body).Execute()
	return must(t, user, response, err)
}

func signIn(t *testing.T, user *UserPublic) *Token {
	form := client.LoginAPI.LoginLoginAccessToken(context.Background()).Username(user.Email).Password(password)
	token, response, err := form.Execute()
	return must(t, token, response, err)
}

func as(token *Token) context.Context {
	source := oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token.AccessToken})
	return context.WithValue(context.Background(), ContextOAuth2, source)
}

// model is the error as the document types it.
func model[T any](t *testing.T, response *http.Response, err error, status int) T {
	t.Helper()
	equal(t, response.StatusCode, status)
	var failure *GenericOpenAPIError
	if !errors.As(err, &failure) {
		t.Fatal(err)
	}
	typed, ok := failure.Model().(T)
	if !ok {
		t.Fatalf("%T", failure.Model())
	}
	return typed
}

func TestScenario(t *testing.T) {
	ada := signUp(t)
	var name NullableString = ada.FullName
	var createdAt time.Time = ada.CreatedAt
	equal(t, name.Get(), nil)
	equal(t, createdAt.IsZero(), false)
	seen("sign up")

	session := signIn(t, ada)
	var expiresIn int32 = session.ExpiresIn
	equal(t, session.TokenType, "bearer")
	equal(t, expiresIn > 0, true)
	seen("log in with the form")

	body := NewRefreshToken(session.RefreshToken)
	refreshed, response, err := client.LoginAPI.LoginRefreshToken(context.Background()).RefreshToken(*body).Execute()
	me := as(must(t, refreshed, response, err))
	seen("refresh")

	created, response, err := client.ItemsAPI.ItemsCreateItem(me).ItemCreate(*NewItemCreate("Engine")).Execute()
	item := must(t, created, response, err)
	equal(t, item.Description.Get(), nil)
	seen("create")

	page, response, err := client.ItemsAPI.ItemsReadItems(me).Limit(10).Execute()
	equal(t, must(t, page, response, err).Count, 1)
	equal(t, page.Data[0].Id, item.Id)
	var nextCursor NullableString = page.NextCursor
	equal(t, nextCursor.Get(), nil)
	second, response, err := client.ItemsAPI.ItemsCreateItem(me).ItemCreate(*NewItemCreate("Loom")).Execute()
	equal(t, must(t, second, response, err).Title, "Loom")
	page, response, err = client.ItemsAPI.ItemsReadItems(me).Limit(1).Execute()
	equal(t, must(t, page, response, err).Data[0].Id, second.Id)
	page, response, err = client.ItemsAPI.ItemsReadItems(me).Limit(1).Cursor(*page.NextCursor.Get()).Execute()
	equal(t, must(t, page, response, err).Data[0].Id, item.Id)
	seen("list")

	change := NewItemUpdate()
	change.SetDescription("Brass")
	updated, response, err := client.ItemsAPI.ItemsUpdateItem(me, item.Id).ItemUpdate(*change).Execute()
	equal(t, *must(t, updated, response, err).Description.Get(), "Brass")
	equal(t, updated.Title, "Engine")
	change.SetDescriptionNil()
	updated, response, err = client.ItemsAPI.ItemsUpdateItem(me, item.Id).ItemUpdate(*change).Execute()
	equal(t, must(t, updated, response, err).Description.Get(), nil)
	seen("update")

	_, response, err = client.ItemsAPI.ItemsReadItem(as(signIn(t, signUp(t))), item.Id).Execute()
	forbidden := model[HTTPError](t, response, err, 403)
	equal(t, forbidden.Detail, "Not enough permissions")
	equal(t, forbidden.Code, "not_enough_permissions")
	seen("read a 403")

	_, response, err = client.ItemsAPI.ItemsCreateItem(me).ItemCreate(*NewItemCreate("")).Execute()
	invalid := model[HTTPValidationError](t, response, err, 422)
	equal(t, invalid.Code, "validation_error")
	fault := invalid.Detail[0]
	equal(t, *fault.Loc[0].String+"."+*fault.Loc[1].String, "body.title")
	equal(t, fault.Type, "string_too_short")
	seen("read a 422")

	deleted, response, err := client.ItemsAPI.ItemsDeleteItem(me, item.Id).Execute()
	equal(t, must(t, deleted, response, err).Message, "Item deleted successfully")
	seen("delete")

	_, response, err = client.ItemsAPI.ItemsReadItem(me, item.Id).Execute()
	equal(t, model[HTTPError](t, response, err, 404).Detail, "Item not found")
	seen("read a 404")

	// What has a default has it here too.
	account := NewUserCreate("grace@example.com", password)
	equal(t, *account.IsActive, true)
	equal(t, account.FullName.IsSet(), false)
}
