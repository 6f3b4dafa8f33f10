import type { Work } from '../context';
import { download } from './download';
import { filters } from './filters';
import { lists } from './lists';
import { memory } from './memory';
import { postgresql } from './postgresql';
import { refusals } from './refusals';
import { s3 } from './s3';
import { smallReads } from './small-reads';
import { slowClients } from './slow-clients';
import { start } from './start';
import { upload } from './upload';
import { verifySignatures } from './verify';

/** Everything that is measured, by the name that `--only` takes, in the order of the table. */
export const works: Readonly<Record<string, Work>> = {
    reads: smallReads,
    lists,
    filters,
    start,
    verify: verifySignatures,
    refusals,
    download,
    upload,
    memory,
    'slow-clients': slowClients,
    s3,
    postgresql,
};
