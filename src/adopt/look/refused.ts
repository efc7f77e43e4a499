/** Nothing was changed; the message says what is in the way, one line each, with the fix. */
export class AdoptionRefused extends Error {
  override readonly name = 'AdoptionRefused'
  constructor(reasons: readonly string[]) {
    super(['Nothing was adopted:', ...reasons.map((reason) => `  - ${reason}`)].join('\n'))
  }
}
