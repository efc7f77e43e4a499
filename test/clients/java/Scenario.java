package groundwork;

import groundwork.api.ItemsApi;
import groundwork.api.LoginApi;
import groundwork.api.UsersApi;
import groundwork.model.HTTPError;
import groundwork.model.HTTPValidationError;
import groundwork.model.ItemCreate;
import groundwork.model.ItemPublic;
import groundwork.model.ItemUpdate;
import groundwork.model.ItemsPublic;
import groundwork.model.RefreshToken;
import groundwork.model.Token;
import groundwork.model.UserCreate;
import groundwork.model.UserPublic;
import groundwork.model.UserRegister;
import groundwork.model.ValidationError;
import java.time.OffsetDateTime;
import java.util.List;
import java.util.Objects;
import java.util.UUID;

public final class Scenario {
  private static final String PASSWORD = "correct horse battery";

  private Scenario() {}

  private static void seen(String step) {
    System.out.println("✓ " + step);
  }

  private static void equal(Object came, Object expected) {
    if (!Objects.equals(came, expected)) throw new AssertionError(came + " is not " + expected);
  }

  private static ApiClient client() {
    ApiClient client = new ApiClient();
    client.updateBaseUri(System.getenv("BASE_URL"));
    return client;
  }

  private static ItemsApi itemsOf(Token token) {
    String bearer = "Bearer " + token.getAccessToken();
    return new ItemsApi(client().setRequestInterceptor(request -> request.header("Authorization", bearer)));
  }

  private static UserPublic signUp() throws ApiException {
    UserRegister body = new UserRegister().email(UUID.randomUUID() + "@example.com").password(PASSWORD);
    return new UsersApi(client()).usersRegisterUser(body);
  }

  private static Token signIn(UserPublic user) throws ApiException {
    return new LoginApi(client()).loginLoginAccessToken(user.getEmail(), PASSWORD, null, null, null, null, null);
  }

  private interface Call {
    void run() throws ApiException;
  }

  /** The error that a call ends with, as the model that the document says. */
  private static <T> T errorOf(int status, Class<T> model, Call call) throws Exception {
    try {
      call.run();
    } catch (ApiException error) {
      equal(error.getCode(), status);
      return client().getObjectMapper().readValue(error.getResponseBody(), model);
    }
    throw new AssertionError("no " + status);
  }

  public static void main(String[] arguments) throws Exception {
    UserPublic ada = signUp();
    OffsetDateTime createdAt = ada.getCreatedAt();
    equal(ada.getFullName(), null);
    equal(createdAt.getOffset().getTotalSeconds(), 0);
    seen("sign up");

    Token session = signIn(ada);
    equal(session.getTokenType(), "bearer");
    equal(session.getExpiresIn() > 0, true);
    seen("log in with the form");

    RefreshToken body = new RefreshToken().refreshToken(session.getRefreshToken());
    ItemsApi items = itemsOf(new LoginApi(client()).loginRefreshToken(body));
    seen("refresh");

    ItemPublic item = items.itemsCreateItem(new ItemCreate().title("Engine"), null);
    UUID id = item.getId();
    equal(item.getDescription(), null);
    seen("create");

    ItemsPublic page = items.itemsReadItems(0, 10, null, null, null);
    List<ItemPublic> data = page.getData();
    equal(page.getCount(), 1);
    equal(data, List.of(item));
    String nextCursor = page.getNextCursor();
    equal(nextCursor, null);
    ItemPublic second = items.itemsCreateItem(new ItemCreate().title("Loom"), null);
    ItemsPublic first = items.itemsReadItems(0, 1, null, null, null);
    equal(first.getData(), List.of(second));
    equal(items.itemsReadItems(null, 1, null, null, first.getNextCursor()).getData(), List.of(item));
    seen("list");

    ItemPublic updated = items.itemsUpdateItem(id, new ItemUpdate().description("Brass"), null);
    equal(updated.getTitle() + " " + updated.getDescription(), "Engine Brass");
    equal(items.itemsUpdateItem(id, new ItemUpdate().description(null), null).getDescription(), null);
    equal(items.itemsUpdateItem(id, new ItemUpdate().title("Engine"), null), item);
    seen("update");

    ItemsApi another = itemsOf(signIn(signUp()));
    HTTPError forbidden = errorOf(403, HTTPError.class, () -> another.itemsReadItem(id, null));
    equal(forbidden.getDetail(), "Not enough permissions");
    equal(forbidden.getCode(), "not_enough_permissions");
    seen("read a 403");

    ItemCreate untitled = new ItemCreate().title("");
    HTTPValidationError invalid =
        errorOf(422, HTTPValidationError.class, () -> items.itemsCreateItem(untitled, null));
    equal(invalid.getCode(), "validation_error");
    ValidationError fault = invalid.getDetail().get(0);
    equal(fault.getLoc().get(0).getString() + "." + fault.getLoc().get(1).getString(), "body.title");
    equal(fault.getType(), "string_too_short");
    seen("read a 422");

    equal(items.itemsDeleteItem(id, null).getMessage(), "Item deleted successfully");
    seen("delete");

    HTTPError missing = errorOf(404, HTTPError.class, () -> items.itemsReadItem(id, null));
    equal(missing.getDetail(), "Item not found");
    seen("read a 404");

    // What has a default has it here too.
    UserCreate account = new UserCreate().email("grace@example.com").password(PASSWORD);
    equal(account.getIsActive(), true);
    equal(account.getFullName_JsonNullable().isPresent(), false);
  }
}
