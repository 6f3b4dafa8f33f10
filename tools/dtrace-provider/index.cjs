'use strict';

// bunyan and restify ask for it and go on without it (docs/decisions/0034-packing.md).
throw new Error('This server has no DTrace probes.');
