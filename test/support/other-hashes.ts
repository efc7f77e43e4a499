/**
 * Hashes as other systems store them, each made by the system itself: argon2-cffi 25.1, passlib 1.7.4 with bcrypt 4.0.1,
 * `openssl passwd` 3.0, Django's from Python's hashlib, and the one that the README of github.com/firebase/scrypt publishes.
 */

/** What they are of, where nothing else is said. */
export const PASSWORD = 'correct horse bättery'

export const hashes = {
  argon2i: '$argon2i$v=19$m=1024,t=2,p=2$ASS1IDgz5teR7t0p8kSogA$IjKP59STYeCQyjjfiLt871LnNrG8AiSsTPrtu2tsO3M',
  argon2d: '$argon2d$v=19$m=1024,t=2,p=2$+n8n2H9d58knq2qwVI6CzA$TwPUgBHjS1cJWiH0ee//XW9FSmgR9xiDwXNPwjowqJQ',
  argon2id:
    '$argon2id$v=19$m=1024,t=2,p=2$xBnnrVf3BQGj0U3A3gp3vg$8eCfXln9zckVAq/0k06S3vsFDVevw7IKBg7ma2aCyeE',
  'bcrypt 2a': '$2a$05$y5SeJOSuWcblzrwhbpHZEuMaUK3RZSJ7dzWmuYmY4AOl19OtiGgTq',
  'bcrypt 2b': '$2b$05$ykIpmNM4eHIhXmsNiiU7gOYX2aQ4lqFfxQBXNrFZHm90DyvaeIqHK',
  'bcrypt 2y': '$2y$05$Wzwxk0KKOTub4ojNrc1v.eIYTuPkvRzrLxz35h.sar//2L2eslQca',
  scrypt: '$scrypt$ln=10,r=8,p=1$JGSsNUbIudcaw/hfS0mpNQ$nTS8X5emolYmP8v7himJ1HsAEGAebpKCc4qcgTvbcow',
  'django sha256': 'pbkdf2_sha256$2000$seasalt12345$QbDvB1jDmA2HemPCexMWgMcacOf98C1/VmTgGa6MKh4=',
  'django sha1': 'pbkdf2_sha1$2000$seasalt12345$gJgGaFTPwp+UOqaVjHd3l/asA1I=',
  'passlib sha1': '$pbkdf2$2000$rfU.h9A6ByCklDImRGitdQ$rviZjobcw0guUnKE7ILS/aK.IjQ',
  'passlib sha256': '$pbkdf2-sha256$2000$SWmNkfL.f2/t3dt7D2EMoQ$sHrv7mFba25TmijGDC1WpDlYim3AX.SAXb7HTXR3.ZM',
  'passlib sha512':
    '$pbkdf2-sha512$2000$PQeAEEIIAYAQQqg1xjgHgA$rhiVSHbvoz4G29/tsm/ZL/UN5aNqy5mifdnFk2VXZP7Yx//WrsnE.WV0bBJosMo2wPtBYa7nDm86X02Dpz6iXQ',
  'openssl 5': '$5$saltsalt$N3TEaRP0mKtDuoTgXJwlaZMJFsribuL4Jt4OewuOFf1',
  'openssl 6':
    '$6$saltsalt$oDxhScmAF.kccOCkVstug7WoFoFjMX6mXSTs0lFRSUqML932SQ3Q/BgYSribNat/so81nzUOA4mI6/b5E5nYV/',
  'passlib sha256_crypt': '$5$rounds=2000$NCoZ536hDjVHF2Y4$v6qCFWdM6XYDnROMljxsGTRmOUTBagX910aKePIoiQB',
  'passlib sha512_crypt':
    '$6$rounds=2000$yQyLlZR9SpFZJOq1$P7NwRaCL/VQIFadlyUY6jwgjJ82w6vISapHknNWRAq9cVOs07vQ6M9ottbK1qPdNLVI2Jxtxaw5Mtvct1k6Cr/',
} as const

/** Without a salt. */
export const digests = {
  md5: '62b6cdb95c2c320dc40dbf88e7f32b4a',
  sha1: '88f2234a14d3d174de16c36b44581e115f0db8ea',
  sha256: 'b333c0a4772e9e3c81513f7f52fb9f4fb83c835b7d2a21ce992ff14df8562cda',
} as const

/** Passwords longer than the 72 bytes that bcrypt takes; the last is cut within a letter. */
export const longBcrypt = [
  {
    password: 'x'.repeat(72) + 'y'.repeat(28),
    hash: '$2b$04$2sT.w1S.AxsZ8qKCXTb9I.fr7aQZ/yGBuJEXoAmxD0HbH5I00DL3G',
  },
  { password: 'ä'.repeat(50), hash: '$2b$04$Ed6FudSVPDduXvEBVielwe0ul2OaKMDtpTlyXuIx4JqxMglrQbjFu' },
  { password: `${'x'.repeat(71)}äöü`, hash: '$2b$04$GbG5F33XN8hycQbgRBvctuZLqIqZIGgUcXmZeYtM3PcHEa50dnx1a' },
] as const

/** Passwords as long as one or two digests, which implementations of it get wrong. */
export const longShaCrypt = [
  {
    password: 'x'.repeat(64),
    hash: '$6$rounds=1000$YTUCP6dEVhtfzvU6$h/lPjjMd7xL.RCfG55KpL08vqBzKcwO5lG3ZXQL.QTgOuteCC527qLj4PZR936WLfYtuDcVgJY1wAW/Uw7t7L0',
  },
  {
    password: 'x'.repeat(128),
    hash: '$6$rounds=1000$fjhBPQeEF/Z1k11N$jx2nRZOcEy12PmwqKtCcpTqPu6rU2Swh3xAhRwZVYqm0P4ntxDHfifFk5ZE40kQUmQ6fpRvWQSwbBvgZnVyj.1',
  },
] as const

/** bcrypt of `bättery ﬁve`, by the normal form that it was in. */
export const byForm = {
  NFD: '$2b$04$z..3RAOySxJeNpvjPWPPjeLBMkWL/Rfc1eL5ixTr8IXur/O8wCtNS',
  NFC: '$2b$04$hmOmEK8TpU6qg8s8GLcoK.lY6fhVpZwILLpEyRn5xowZ7Cc.1mEcW',
  NFKC: '$2b$04$QbzoS9JqdO9boLQjAuyUsuz3zE8NY8W9IIaHlp6zXCMFSqLRbsuUa',
} as const

export const firebase = {
  password: 'user1password',
  hash: '$fbscrypt$v=1,n=14,r=8,p=1,ss=Bw==,sk=jxspr8Ki0RYycVU8zykbdLGjFQ3McFUH0uiiTvC8pVMXAn210wjLNmdZJzxUECKbm0QsEmYUSDzZvpjeJ9WmXA==$42xEC+ixf3L2lw==$lSrfV15cpx95/sZS2W9c9Kp6i/LVgQNDNC/qzrCnh1SAyZvqmZqAjTdn3aoItz+VHjoZilo78198JAdRuid5lQ==',
} as const
