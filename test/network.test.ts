import { test } from 'tap'
import { networkOf } from '../src/network.ts'

void test('whom limits count as one', (t) => {
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
