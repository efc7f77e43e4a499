import { test } from 'tap'
import { deviceOf } from '../src/text/device.ts'

const agents: Record<string, string> = {
  'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0': 'Firefox on Linux',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36':
    'Chrome on Windows',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36 Edg/130.0.0.0':
    'Edge on Windows',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1':
    'Safari on iPhone',
  'Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Safari/605.1.15':
    'Safari on macOS',
  'Mozilla/5.0 (Linux; Android 14; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Mobile Safari/537.36':
    'Chrome on Android',
  'Atlas/42 CFNetwork/1494.0.7 Darwin/23.4.0': 'an app on an Apple device',
  'okhttp/4.12.0': 'an app on Android',
  'curl/8.5.0': 'curl',
}

for (const [agent, device] of Object.entries(agents))
  void test(`${device} is named in plain words`, (t) => {
    t.equal(deviceOf(agent), device)
    t.end()
  })

void test('an unknown user agent is "an unknown device", without its own text', (t) => {
  for (const agent of [null, '', 'Call +1 555 0100 or open https://evil.example to keep your account'])
    t.equal(deviceOf(agent), 'an unknown device')
  t.end()
})
