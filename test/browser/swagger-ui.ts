import type { Locator, Page } from 'playwright-core'

/** Swagger UI as people use it. */
export class SwaggerUi {
  readonly page: Page

  constructor(page: Page) {
    this.page = page
  }

  async open(url: string): Promise<void> {
    await this.page.goto(`${url}/docs`)
    await this.page.locator('.opblock').first().waitFor()
  }

  /** Tries to sign in with the Authorize button. @returns the error, as its window shows it */
  async authorizeError(username: string, password: string): Promise<string> {
    await this.page.locator('.btn.authorize').click()
    await this.#fillIn(username, password)
    return this.page.locator('.auth-container .errors span').innerText()
  }

  async #fillIn(username: string, password: string): Promise<void> {
    const user = this.page.getByLabel('username:')
    // It opens there, and not at the last form.
    await this.page.waitForFunction("document.activeElement.id === 'oauth_username'")
    await user.fill(username)
    await this.page.getByLabel('password:', { exact: true }).fill(password)
    // The form of API keys has a button of its own.
    await this.page.locator('.auth-container', { has: user }).locator('.auth-btn-wrapper .authorize').click()
  }

  /** Signs in with the Authorize button, and closes its window. */
  async authorize(username: string, password: string): Promise<void> {
    await this.page.locator('.btn.authorize').click()
    await this.#fillIn(username, password)
    await this.page.getByRole('button', { name: 'Remove authorization' }).waitFor()
    await this.closeAuthorize()
  }

  async closeAuthorize(): Promise<void> {
    await this.page.locator('.btn-done').first().click()
  }

  async isAuthorized(): Promise<boolean> {
    const locked = this.page.locator('.btn.authorize.locked').first().waitFor()
    return locked.then(
      () => true,
      () => false,
    )
  }

  operation(operationId: string): Locator {
    return this.page.locator(`#operations-${operationId.slice(0, operationId.indexOf('-'))}-${operationId}`)
  }

  /**
   * Tries an operation out.
   *
   * @param input the body as text, and parameters by name
   * @returns the status and the body, as the page shows them
   */
  async execute(
    operationId: string,
    { body, ...params }: { body?: string } & Record<string, string> = {},
  ): Promise<{ status: number; shown: string }> {
    const operation = this.operation(operationId)
    const button = operation.locator('.execute')
    if (!(await button.isVisible())) await operation.locator('.opblock-summary-control').click()
    if (body !== undefined) await operation.locator('textarea').fill(body)
    for (const [name, value] of Object.entries(params))
      await operation.locator(`tr[data-param-name="${name}"] input`).fill(value)
    const answered = this.page.waitForResponse((response) => response.url().includes('/api/v1/'))
    await button.click()
    const status = (await answered).status()
    const live = operation.locator('.live-responses-table .response')
    await live.locator('.response-col_status', { hasText: String(status) }).waitFor()
    return { status, shown: await live.locator('.highlight-code pre').first().innerText() }
  }
}
