import { html } from '../../http/pages/html.ts'

/** Shows what was typed into a field with id `new_password` (NIST SP 800-63B-4, 3.1.1.2). Without scripts it is not there. */
export const showPasswordButton = html`<button type="button" class="quiet" id="show_password" hidden>
  Show password
</button>`

/** When the form is sent, the field is one of a password again, or browsers would offer its text later. */
export const showPasswordScript = `
const field = document.getElementById('new_password')
const toggle = document.getElementById('show_password')
const show = (shown) => {
  field.type = shown ? 'text' : 'password'
  toggle.textContent = shown ? 'Hide password' : 'Show password'
}
toggle.hidden = false
toggle.addEventListener('click', () => show(field.type === 'password'))
field.form.addEventListener('submit', () => show(false))
`
