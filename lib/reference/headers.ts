/** Headers of answers and of requests, in words. */
import type { AnswerHeader } from '../api/route';

/** Of the answers of some routes. */
export const ANSWER_HEADERS: Readonly<Record<AnswerHeader | 'Content-Range', string>> = {
    'Accept-Ranges': 'Always `bytes`: a part may be asked for.',
    'Cache-Control': 'How long the answer may be kept.',
    'Content-MD5': 'MD5 of the bytes, in base64; not with a part of them.',
    'Content-Range': 'Which part this is, and the size of the whole.',
    Etag: 'What to send as `If-Match` or `If-None-Match`: it changes with what is answered.',
    'Last-Modified': 'When the bytes were stored.',
    Location: 'Where to go.',
    'workflow-api': 'URL of the service that runs the job.',
};

/** Of every answer. */
export const EVERY_ANSWER: Readonly<Record<string, string>> = {
    Server: 'The name and version of the server.',
    'x-request-id':
        'The id under which the log has the request: the `request-id` or `x-request-id` that was sent, or a new one.',
    'x-response-time': 'How long the server took until it began to answer, in ms.',
    'x-server-name': 'The host that answered.',
};

/** Of requests. */
export const REQUEST_HEADERS: Readonly<Record<string, string>> = {
    Accept: '`application/json`, which is what answers have by default, `text/plain` or `application/javascript` for JSON without blanks.',
    'Accept-Version':
        'The API versions a client understands, as a semver range: the server speaks 1.0.0 and 2.0.0. By default `~1`; with `~2` or `*`, manifests have their `channels`.',
    Authorization: 'An HTTP Signature, where the endpoint asks for one.',
    'Content-MD5': 'MD5 of a JSON body in base64; the request is refused if it differs.',
    'If-Match, If-None-Match, If-Modified-Since, If-Unmodified-Since':
        'Conditions, on the endpoints that can answer with 304 or 412.',
    'Range, If-Range': 'A part of a file or an icon: `bytes=0-1023`.',
    'x-request-id': 'An id of the client for the request.',
};
