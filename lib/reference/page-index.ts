/** /docs/: what this server is, and how to begin. */
import { SIGNING, SIGNING_BY_OPENSSL } from './examples';
import { EVERY_ANSWER, REQUEST_HEADERS } from './headers';
import {
    block,
    code,
    inline,
    link,
    list,
    markup,
    paragraph,
    prose,
    table,
    type Html,
    type Part,
} from './html';
import { page } from './layout';
import type { Subject } from './subject';

const MODES = {
    public: 'a repository of public images',
    private: 'a repository of private images',
    dc: 'the image service of a datacenter',
} as const;

export function indexPage(subject: Subject): string {
    const entries = [
        { id: 'server', title: 'This server' },
        { id: 'try', title: 'Try it' },
        { id: 'requests', title: 'Requests and answers' },
        { id: 'changes', title: 'Conditions' },
    ];
    return page({ href: './', title: 'An image registry', entries }, [
        paragraph(
            'This server keeps images of virtual machines and containers. An image is a manifest, which is JSON, and a ' +
                'file, seldom several. Images are made without a file, get one by an upload, and are then activated: ' +
                'from there on they are listed, and their files do not change.',
        ),
        list([
            [link('endpoints.html', 'Endpoints'), ': every request that this server answers'],
            [link('objects.html', 'Objects'), ': the fields of manifests and of all other JSON'],
            [link('errors.html', 'Errors'), ': every code, and where it is met'],
            [link('openapi.json', 'openapi.json'), ': the same for programs, in OpenAPI 3.1'],
        ]),
        heading('server', 'This server'),
        facts(subject),
        heading('try', 'Try it'),
        tryIt(subject),
        heading('requests', 'Requests and answers'),
        paragraph(
            prose(
                'Parameters stand in the query string. A parameter that is given twice is refused where one value is ' +
                    'expected; one that an endpoint does not have is passed over. The body of a request is JSON with ' +
                    '`Content-Type: application/json`, also with `Content-Encoding: gzip`, or the bytes of a file.',
            ),
        ),
        headerTable('Headers of requests', REQUEST_HEADERS),
        headerTable('Headers of every answer', EVERY_ANSWER),
        heading('changes', 'Conditions'),
        paragraph(
            prose(
                'Answers with a manifest have an `Etag`. A change that is sent with it as `If-Match` is made only if ' +
                    'nobody else has changed the image since; otherwise the answer is 412. A read that is sent with it ' +
                    'as `If-None-Match` is answered with 304 and no body while nothing has changed. Files and icons have ' +
                    'an `Etag` and a `Last-Modified` of their own. Which endpoints look at conditions is listed with ' +
                    'them: those that can end with 304 or 412.',
            ),
        ),
    ]);
}

function heading(id: string, title: string): Html {
    return markup`<h2 id="${id}">${title}</h2>\n`;
}

function facts({ version, server }: Subject): Html {
    const rows: Part[][] = [
        ['Version', version],
        ['API versions', '1.0.0, 2.0.0'],
    ];
    if (server) {
        const { mode, signatures, signedReads, hidesUnpublished, roles, channels } = server;
        const signed = signedReads ? 'all that shows or changes something' : 'all that changes something';
        rows.push(
            ['Mode', [code(mode), `: ${MODES[mode]}`]],
            [
                'Authentication',
                signatures ? `HTTP Signature, for ${signed}` : 'none: everybody may do everything',
            ],
            ...(hidesUnpublished ? [['Images that are not active', 'there for signed requests only']] : []),
            ...(roles ? [['Users', 'have roles; each endpoint tells which one it needs']] : []),
            ['Channels', channels.length > 0 ? inline(channels.map(code)) : 'none'],
        );
    }
    return table(
        'Facts',
        ['What', 'Value'],
        rows.map((cells) => ({ cells })),
    );
}

function tryIt({ server }: Subject): Part {
    const signedReads = server?.signedReads === true;
    return [
        paragraph(
            prose(
                'Set `url` to the address of this server, which is that of this page without `/docs/`. Then ask ' +
                    `whether it is there${signedReads ? '' : ', and which images it has'}:`,
            ),
        ),
        block('url=http://127.0.0.1:8080'),
        block('curl "$url/ping"'),
        signedReads ? undefined : block('curl "$url/images?limit=10"'),
        server?.signatures === false ? undefined : signing(signedReads),
        paragraph(
            'The life of an image begins with ',
            link('endpoints.html#CreateImage', 'CreateImage'),
            ', goes on with ',
            link('endpoints.html#AddImageFile', 'AddImageFile'),
            ' and ',
            link('endpoints.html#ActivateImage', 'ActivateImage'),
            ', and ends with ',
            link('endpoints.html#DeleteImage', 'DeleteImage'),
            '.',
        ),
    ];
}

function signing(signedReads: boolean): Part {
    return [
        paragraph(
            prose(
                `${signedReads ? 'Every request about images' : 'A change'} has to be signed with an SSH key of a user ` +
                    'whom the server knows. What is signed is the `Date` header, which may be five minutes off. The ' +
                    'following makes a `curl` that signs, with `imgapi-sign` of this software:',
            ),
        ),
        block(SIGNING),
        paragraph(
            prose(
                'And this does it with an RSA key and `openssl`. The key has to be in PEM form; ' +
                    '`ssh-keygen -p -m PEM -f KEY` turns a copy of yours into one.',
            ),
        ),
        block(SIGNING_BY_OPENSSL),
        block('signed "$url/ping"'),
        signedReads ? block('signed "$url/images?limit=10"') : undefined,
    ];
}

function headerTable(caption: string, headers: Readonly<Record<string, string>>): Html {
    return table(
        caption,
        ['Header', 'Meaning'],
        Object.entries(headers).map(([name, meaning]) => ({ cells: [code(name), prose(meaning)] })),
    );
}
