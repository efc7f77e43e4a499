/**
 * Asks the browser for a passkey as the page opens, and again by a button; then sends the form with what it answered. Values of
 * `toJSON` go into fields of the same names.
 */
export const askScript = `
const form = document.getElementById('answer')
const again = document.getElementById('ask')
const failed = document.getElementById('failed')
const options = JSON.parse(document.getElementById('options').value)
const isNew = 'attestationObject' in form.elements
async function answer() {
  const publicKey = isNew
    ? PublicKeyCredential.parseCreationOptionsFromJSON(options)
    : PublicKeyCredential.parseRequestOptionsFromJSON(options)
  const credential = await (isNew ? navigator.credentials.create({ publicKey }) : navigator.credentials.get({ publicKey }))
  const { response, ...rest } = credential.toJSON()
  for (const [name, value] of Object.entries({ ...rest, ...response }))
    if (name in form.elements) form.elements[name].value = String(value)
}
async function ask() {
  failed.hidden = true
  try {
    await answer()
  } catch {
    failed.hidden = again.hidden = false
    return
  }
  form.submit()
}
again.addEventListener('click', ask)
ask()
`
