/** Who is named: somebody else, nobody, or a name that means something to a program. */
import { utf8, type Forgery } from './forgery';

/** What is said of a signature that is not the user's, whoever that is. */
const NOT_THEIRS = /^No key of user "/;

export const identities: readonly Forgery[] = [
    {
        name: 'the signature of another user',
        says: /"bob"/,
        by: 'alice',
        forge: (m) => m.setParameter('keyId', 'bob'),
    },
    {
        name: 'the key of another user',
        says: /"alice"/,
        forge: (message, { keys }) => message.sign({ key: keys.get('bob')! }),
    },
    {
        name: 'the key of another user, of another type',
        says: /"alice"/,
        forge: (message, { keys }) => {
            const key = keys.get('erin')!;
            return message.setParameter('algorithm', key.algorithm).sign({ key });
        },
    },
    ...[
        'mallory',
        'Alice',
        'ALICE',
        'alice ',
        ' alice',
        'alice\t',
        'al%69ce',
        'alice%00',
        'alice,bob',
        'alice/bob',
        '/alice',
        '/alice/keys/alice',
        '../alice',
        'alice.keys',
        '.',
        '*',
        "alice' or '1'='1",
        '${alice}',
        'null',
        'undefined',
        '0',
        '__proto__',
        'constructor',
        'prototype',
        'toString',
        'hasOwnProperty',
        'valueOf',
        'size',
        'get',
        utf8('alicé'),
        utf8('аlice'),
        utf8('ａｌｉｃｅ'),
        utf8('alice\u200b'),
        utf8('\u202ealice'),
        utf8('💾'),
        '\xe4lice',
        'a'.repeat(300),
    ].map((user): Forgery => ({
        name: `keyId ${JSON.stringify(user.length > 100 ? `${user.slice(0, 3)}…` : user)}`,
        says: NOT_THEIRS,
        forge: (message) => message.setParameter('keyId', user).sign(),
    })),
    {
        name: 'a keyId as long as a page',
        says: NOT_THEIRS,
        forge: (message) => message.setParameter('keyId', 'alice'.repeat(1000)).sign(),
    },
    {
        name: 'a keyId as long as a book',
        says: /^The Authorization header has \d+ characters/,
        forge: (message) => message.setParameter('keyId', 'alice'.repeat(100_000)).sign(),
    },
    {
        name: 'the path of a key as CloudAPI has it',
        says: NOT_THEIRS,
        forge: (message) => message.setParameter('keyId', '/alice/keys/aa:bb:cc').sign(),
    },
    ...['nobody', 'unusable', 'revoked'].map((user): Forgery => ({
        name: `keyId "${user}", who has no key that counts`,
        says: NOT_THEIRS,
        forge: (message) => message.setParameter('keyId', user).sign(),
    })),
    {
        name: 'a key that the user had once',
        says: NOT_THEIRS,
        forge: (message, { keys }) =>
            message.setParameter('keyId', 'revoked').sign({ key: keys.get('bob')! }),
    },
];
