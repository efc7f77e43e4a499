import { test } from 'tap'
import { forwardedFor, networkOf, trustOf } from '../src/text/network.ts'

void test('for limits, an address in any notation and an IPv6 /64 are one network', (t) => {
  const same: [network: string, addresses: string[]][] = [
    [
      '192.0.2.7',
      [
        '192.0.2.7',
        '::ffff:192.0.2.7',
        '::FFFF:192.0.2.7',
        '::ffff:c000:207',
        '0:0:0:0:0:ffff:192.0.2.7',
        '192.0.2.7:51234',
        '[::ffff:192.0.2.7]:51234',
      ],
    ],
    [
      '2001:db8:1:2::/64',
      [
        '2001:db8:1:2::1',
        '2001:0DB8:0001:0002:ffff:ffff:ffff:ffff',
        '2001:db8:1:2:0:0:192.0.2.7',
        '[2001:db8:1:2::1]:443',
        '[2001:db8:1:2::9]',
      ],
    ],
    ['fe80:0:0:0::/64', ['fe80::1', 'fe80::2%eth0']],
    ['0:0:0:0::/64', ['::1']],
    ['', ['']],
    ['unknown', ['unknown']],
    ['not:an:address', ['not:an:address']],
  ]
  for (const [network, addresses] of same)
    for (const address of addresses) t.equal(networkOf(address), network, address)
  t.equal(networkOf(undefined), '', 'a connection that is gone')
  t.not(networkOf('2001:db8:1:2::1'), networkOf('2001:db8:1:3::1'), 'the next /64 is somebody else')
  t.end()
})

void test('the client is the last address in X-Forwarded-For that is no trusted proxy, in any notation', (t) => {
  const trusts = trustOf(['10.0.0.0/8', '::1', 'fd00::/8'])
  const chains: [header: string, client: string | undefined][] = [
    ['203.0.113.7', '203.0.113.7'],
    ['203.0.113.7, 10.0.0.6', '203.0.113.7'],
    ['203.0.113.7, 10.0.0.6:4321', '203.0.113.7'],
    ['203.0.113.7:51234, 10.0.0.6:4321', '203.0.113.7'],
    [' 203.0.113.7 ,10.0.0.6 ', '203.0.113.7'],
    ['"203.0.113.7:51234", "10.0.0.6"', '203.0.113.7'],
    ['2001:db8::7', '2001:db8::7'],
    ['[2001:db8::7]', '2001:db8::7'],
    ['[2001:DB8::7]:51234, [fd00::1]:80', '2001:db8::7'],
    ['"[2001:db8::7]:51234"', '2001:db8::7'],
    ['::ffff:203.0.113.7, ::ffff:10.0.0.6', '203.0.113.7'],
    ['fe80::1%eth0', 'fe80::1'],
    ['10.0.0.5, 10.0.0.6', '10.0.0.5'],
    // What precedes an address of no trusted proxy was written by the client.
    ['6.6.6.6, 203.0.113.7, 10.0.0.6', '203.0.113.7'],
    ['10.0.0.9, 203.0.113.7', '203.0.113.7'],
    ['"6.6.6.6, 203.0.113.7"', undefined],
    ['6.6.6.6, unknown', undefined],
    ['6.6.6.6, unknown, 10.0.0.6', '10.0.0.6'],
    ['6.6.6.6, _hidden, 10.0.0.6', '10.0.0.6'],
    ['6.6.6.6, , 10.0.0.6', '10.0.0.6'],
    ['6.6.6.6,', undefined],
    ['', undefined],
    ['localhost', undefined],
    ['0x7f000001', undefined],
    ['010.0.0.6', undefined],
    ['203.0.113.7:1:2', undefined],
    ['203.0.113.7:', undefined],
    ['[203.0.113.7]', undefined],
    ['[2001:db8::7', undefined],
    ['203.0.113.700', undefined],
    ["203.0.113.7'; --", undefined],
  ]
  for (const [header, client] of chains) t.equal(forwardedFor(header, trusts), client, header)
  t.end()
})

void test('an X-Forwarded-For of 32 KiB is read within 5 ms', (t) => {
  const trusts = trustOf(['10.0.0.0/8'])
  for (const part of [
    'a',
    ',',
    ', ',
    '"',
    '[',
    ':',
    '10.0.0.6,',
    '6.6.6.6,',
    '6.6.6.6:1,',
    '%',
    '1.',
    ' ',
    '"[,',
  ])
    for (const header of [
      part.repeat(32_768 / part.length),
      `${part.repeat(32_000 / part.length)},10.0.0.6`,
    ]) {
      const before = process.cpuUsage()
      for (let count = 0; count < 20; count += 1) forwardedFor(header, trusts)
      const { user } = process.cpuUsage(before)
      t.ok(user / 20 < 5_000, `${part}: ${user / 20} µs`)
    }
  t.end()
})
