import groundwork.apis.ItemsApi
import groundwork.apis.LoginApi
import groundwork.apis.UsersApi
import groundwork.infrastructure.ClientError
import groundwork.infrastructure.ClientException
import groundwork.infrastructure.Serializer
import groundwork.models.HTTPError
import groundwork.models.HTTPValidationError
import groundwork.models.ItemCreate
import groundwork.models.ItemUpdate
import groundwork.models.RefreshToken
import groundwork.models.Token
import groundwork.models.UserCreate
import groundwork.models.UserPublic
import groundwork.models.UserRegister
import java.time.OffsetDateTime
import java.util.UUID

const val PASSWORD = "correct horse battery"
val url: String = System.getenv("BASE_URL")

fun seen(step: String) = println("✓ $step")

fun equal(actual: Any?, expected: Any?) = check(actual == expected) { "$actual is not $expected" }

fun signUp(): UserPublic = UsersApi(url).usersRegisterUser(UserRegister("${UUID.randomUUID()}@example.com", PASSWORD))

fun signIn(user: UserPublic): Token = LoginApi(url).loginLoginAccessToken(user.email, PASSWORD)

fun itemsOf(token: Token) = ItemsApi(url).apply { accessTokenProvider = { token.accessToken } }

/** The error that a call ends with, as the model that the document says. */
inline fun <reified M : Any> errorOf(status: Int, call: () -> Unit): M {
    try {
        call()
    } catch (error: ClientException) {
        equal(error.statusCode, status)
        val body = (error.response as ClientError<*>).body as String
        return checkNotNull(Serializer.moshi.adapter(M::class.java).fromJson(body))
    }
    error("no $status")
}

fun main() {
    val ada = signUp()
    val createdAt: OffsetDateTime = ada.createdAt
    equal(ada.fullName, null)
    equal(createdAt.offset.totalSeconds, 0)
    seen("sign up")

    val session = signIn(ada)
    equal(session.tokenType, "bearer")
    equal(session.expiresIn > 0, true)
    seen("log in with the form")

    val items = itemsOf(LoginApi(url).loginRefreshToken(RefreshToken(session.refreshToken)))
    seen("refresh")

    val item = items.itemsCreateItem(ItemCreate("Engine"))
    val id: UUID = item.id
    equal(item.description, null)
    seen("create")

    val page = items.itemsReadItems(limit = 10)
    equal(page.count, 1)
    equal(page.data, listOf(item))
    equal(page.nextCursor, null)
    val second = items.itemsCreateItem(ItemCreate("Loom"))
    val first = items.itemsReadItems(limit = 1)
    equal(first.data, listOf(second))
    equal(items.itemsReadItems(limit = 1, cursor = first.nextCursor).data, listOf(item))
    seen("list")

    // It can't set a field to null: the generator leaves those out.
    val updated = items.itemsUpdateItem(id, ItemUpdate(description = "Brass"))
    equal(updated, item.copy(description = "Brass"))
    equal(items.itemsUpdateItem(id, ItemUpdate(title = "Loom")), updated.copy(title = "Loom"))
    seen("update")

    val another = itemsOf(signIn(signUp()))
    val forbidden = errorOf<HTTPError>(403) { another.itemsReadItem(id) }
    equal(forbidden, HTTPError("Not enough permissions", "not_enough_permissions"))
    seen("read a 403")

    val invalid = errorOf<HTTPValidationError>(422) { items.itemsCreateItem(ItemCreate("")) }
    equal(invalid.code, "validation_error")
    val fault = invalid.detail.first()
    equal(fault.loc, listOf("body", "title"))
    equal(fault.type, "string_too_short")
    seen("read a 422")

    equal(items.itemsDeleteItem(id).message, "Item deleted successfully")
    seen("delete")

    equal(errorOf<HTTPError>(404) { items.itemsReadItem(id) }.detail, "Item not found")
    seen("read a 404")

    // What has a default has it here too.
    val account = UserCreate("grace@example.com", PASSWORD)
    equal(account.isActive, true)
    equal(account.fullName, null)
}
