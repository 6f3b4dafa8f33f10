/** The Authorization header: its scheme, its grammar, and parameters that are missing, doubled or something else. */
import type { Forgery } from './forgery';

const rewritten = (
    name: string,
    says: RegExp,
    from: string | RegExp,
    to: string,
    more: Partial<Forgery> = {},
): Forgery => ({
    name,
    says,
    forge: (message) => message.rewrite((text) => text.replace(from, to)),
    ...more,
});

const schemes: Forgery[] = [
    {
        name: 'no Authorization at all',
        says: /Authorization/,
        isAnonymous: true,
        forge: ({ bytes }) => Buffer.from(bytes.toString('latin1').replace(/^Authorization: .*\r\n/m, '')),
    },
    rewritten('an empty Authorization', /Authorization/, /^.*$/, '', { isAnonymous: true }),
    rewritten('an Authorization of spaces and tabs', /Authorization/, /^.*$/, ' \t ', { isAnonymous: true }),
    rewritten('the scheme alone', /keyId/, /^.*$/, 'Signature'),
    rewritten('the scheme in lower case', /scheme/i, 'Signature ', 'signature '),
    rewritten('the scheme in upper case', /scheme/i, 'Signature ', 'SIGNATURE '),
    rewritten('the scheme misspelled', /scheme/i, 'Signature ', 'Signatur '),
    rewritten('the scheme with a colon', /scheme/i, 'Signature ', 'Signature: '),
    rewritten('no scheme', /scheme|format|syntax/i, 'Signature ', ''),
    rewritten('a tab after the scheme', /scheme|keyId/i, 'Signature ', 'Signature\t'),
    rewritten('two spaces after the scheme', /format|syntax|parameter/i, 'Signature ', 'Signature  '),
    rewritten('the parameters under the scheme Basic', /scheme/i, 'Signature ', 'Basic '),
    rewritten('the parameters under the scheme Bearer', /scheme/i, 'Signature ', 'Bearer '),
    rewritten('a name and password', /scheme|parameter/, /^.*$/, 'Basic YWxpY2U6YWxpY2U='),
    rewritten('a token', /scheme|parameter/, /^.*$/, 'Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSJ9.'),
    rewritten(
        'a signature of AWS',
        /scheme|parameter/,
        /^.*$/,
        'AWS4-HMAC-SHA256 Credential=alice, SignedHeaders=date',
    ),
    {
        name: 'the parameters in a Signature header in place of Authorization',
        says: /Authorization/,
        isAnonymous: true,
        forge: (message) => {
            const parameters = message.authorization.slice('Signature '.length);
            return Buffer.from(
                message.bytes
                    .toString('latin1')
                    .replace(/^Authorization: .*\r\n/m, `Signature: ${parameters}\r\n`),
            );
        },
    },
    {
        name: 'a right Signature header beside a wrong Authorization',
        says: /alice/,
        forge: (message) => {
            message.addHeader('Signature', message.authorization.slice('Signature '.length));
            return message.setSignature(Buffer.alloc(256));
        },
    },
    {
        name: 'the Authorization as Proxy-Authorization',
        says: /Authorization/,
        isAnonymous: true,
        forge: ({ bytes }) => Buffer.from(bytes.toString('latin1').replace('\r\nAuth', '\r\nProxy-Auth')),
    },
    {
        name: 'the Authorization as a parameter of the query',
        says: /Authorization/,
        isAnonymous: true,
        forge: ({ bytes, authorization, target }) =>
            Buffer.from(
                bytes
                    .toString('latin1')
                    .replace(/^Authorization: .*\r\n/m, '')
                    .replace(target, `${target}?Authorization=${encodeURIComponent(authorization)}`),
            ),
    },
];

const FORMAT = /format|syntax|parameter/i;

const grammar: Forgery[] = [
    rewritten('a space after the commas', FORMAT, /",/g, '", '),
    rewritten('a tab after the commas', FORMAT, /",/g, '",\t'),
    rewritten('a space before the commas', FORMAT, /",/g, '" ,'),
    rewritten('a space after an =', FORMAT, 'keyId=', 'keyId= '),
    rewritten('a space before an =', FORMAT, 'keyId=', 'keyId ='),
    rewritten('a comma first', FORMAT, 'keyId', ',keyId'),
    rewritten('two commas', FORMAT, '",', '",,'),
    rewritten('semicolons for commas', FORMAT, /",/g, '";'),
    rewritten('single quotes', FORMAT, /"/g, "'"),
    rewritten('no quotes', FORMAT, /"/g, ''),
    rewritten('a parameter without a name', FORMAT, 'keyId=', '='),
    rewritten('a parameter without a value', FORMAT, 'keyId="alice"', 'keyId'),
    rewritten('the name of a parameter with a hyphen', FORMAT, 'keyId', 'key-Id'),
    rewritten('the name of a parameter in quotes', FORMAT, 'keyId', '"keyId"'),
    rewritten('the name of a parameter with %-escapes', FORMAT, 'keyId', 'key%49d'),
    rewritten('an escaped quote in a value', FORMAT, '"alice"', '"al\\"ice"'),
    rewritten('a quote in a value', FORMAT, '"alice"', '"al"ice"'),
    rewritten('text after the last parameter', FORMAT, /$/, ' x'),
    rewritten('the signature behind the parameters', FORMAT, /,signature="(.*)"$/, ' $1'),
    rewritten('the last quote left out', /signature/, /"$/, ''),
    rewritten('the header cut off in its middle', /signature/, /(signature=".{40}).*$/, '$1'),
    rewritten('parameters as JSON', FORMAT, / .*$/, ' {"keyId":"alice","algorithm":"rsa-sha256"}'),
];

const missing: Forgery[] = [
    ...(['keyId', 'algorithm', 'signature'] as const).flatMap((name): Forgery[] => [
        {
            name: `no ${name}`,
            says: new RegExp(name),
            forge: (message) => message.setParameter(name, undefined),
        },
        {
            name: `an empty ${name}`,
            says: new RegExp(name),
            forge: (message) => message.setParameter(name, ''),
        },
        rewritten(`${name} in capitals`, new RegExp(name), `${name}=`, `${name.toUpperCase()}=`),
        {
            name: `a number for ${name}`,
            says: /quoted|parameter/i,
            forge: (message) => message.setBareParameter(name, '5'),
        },
        {
            name: `a number that is not one for ${name}`,
            says: FORMAT,
            forge: (message) => message.setBareParameter(name, '5e3'),
        },
        {
            name: `a second ${name}, which is empty`,
            says: new RegExp(name),
            forge: (message) => message.addParameter(name, ''),
        },
    ]),
    {
        name: 'a number for headers',
        says: /quoted|parameter|headers/i,
        forge: (message) => message.setBareParameter('headers', '5'),
    },
    {
        name: 'a second keyId, of somebody else',
        says: /"bob"/,
        forge: (message) => message.addParameter('keyId', 'bob'),
    },
    {
        name: 'a second algorithm, which is another',
        says: /alice/,
        forge: (message) => message.addParameter('algorithm', 'rsa-sha1'),
    },
    {
        name: 'a second signature, which is another',
        says: /alice/,
        forge: (message) => message.addParameter('signature', Buffer.alloc(256, 7).toString('base64')),
    },
    {
        name: 'a second list of headers, which is another',
        says: /date/,
        forge: (message) =>
            message.addParameter('headers', 'date').addParameter('headers', '(request-target)'),
    },
    {
        name: 'three thousand parameters and a wrong signature',
        says: /alice/,
        forge: (message) => {
            for (let n = 0; n < 1500; n++) {
                message.addParameter('x', '').addParameter('constructor', '');
            }
            return message.setSignature(Buffer.alloc(256, 1));
        },
    },
    ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf'].map((name): Forgery => ({
        name: `the parameter ${name} in place of keyId`,
        says: name === '__proto__' ? FORMAT : /keyId/,
        forge: (message) => message.setParameter('keyId', undefined).addParameter(name, 'alice'),
    })),
];

export const parameters: readonly Forgery[] = [...schemes, ...grammar, ...missing];
