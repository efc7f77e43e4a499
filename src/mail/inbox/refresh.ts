/**
 * Keeps the list of the inbox up to date while its page is seen. Scripts of pages have to be constants of the code; this one
 * takes the new list from the same page, so that there is one template for both. Whoever is in the list by keyboard stays
 * at the same mail.
 */
export const refreshScript = `
const list = document.getElementById('mails')
const refresh = async () => {
  const answer = await fetch(location.href)
  if (!answer.ok) return
  const page = new DOMParser().parseFromString(await answer.text(), 'text/html')
  const fresh = page.getElementById('mails')
  if (!fresh || fresh.innerHTML === list.innerHTML) return
  const href = list.contains(document.activeElement) ? document.activeElement.getAttribute('href') : null
  list.replaceChildren(...fresh.childNodes)
  if (href !== null) [...list.querySelectorAll('a')].find((link) => link.getAttribute('href') === href)?.focus()
}
setInterval(() => document.hidden || refresh().catch(() => undefined), 3000)
`
