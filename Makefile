PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TORCH ?= torch==2.13.0
DATA ?= ../shared/data
RUN ?= runs/main
CONTEXT ?= runs/context
STAGE ?= mse
PROCESSES ?= 1
BACKBONES ?= $(DATA)/backbones
MINUTES ?= 60
WEIGHTS = $(or $(NAME),$(lastword $(sort $(notdir $(wildcard weights/sic-*)))))

.DEFAULT_GOAL := help
.PHONY: format hooks coverage help setup setup-measure setup-cluster demo test check usage architecture trust trust-release fuzz audit bench bench-scaling bench-cluster data train train-context train-mean-colours export pin embedding ablation context weights-table readme-table pictures gpu-pack gpu-rehearsal clean

help:  ## show this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 20

$(VENV)/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check "$(TORCH)" "numpy>=1.26,<3"
	$(BIN)/python -m pip install -q --disable-pip-version-check -e ".[dev]"
	touch $@

setup: $(VENV)/ready  ## make the environment in .venv

$(VENV)/ready-measure: $(VENV)/ready
	$(BIN)/python -m pip install -q --disable-pip-version-check scipy tqdm
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps lpips==0.1.4 torchvision==0.28.0 stlpips-pytorch==0.0.2 pillow-jxl-plugin==1.3.8
	touch $@

setup-measure: $(VENV)/ready-measure  ## add what measuring LPIPS and JPEG XL needs

$(VENV)/ready-cluster: $(VENV)/ready
	$(BIN)/python -m pip install -q --disable-pip-version-check "aiobotocore[boto3]>=3" -e ".[dev,cluster]" "moto[server]>=5"
	touch $@

setup-cluster: $(VENV)/ready-cluster  ## add S3 and a server of it, for tests and bench-cluster

demo: setup  ## encode a photograph, decode four levels, write pictures and a page into demo/
	$(BIN)/python benchmarks/demo.py demo

test: setup  ## run the tests
	$(BIN)/python -m pytest -n 2

check: setup  ## linter and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: setup  ## format the code
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

hooks: setup  ## install the checks as hooks of git
	$(BIN)/python -m pip install -q --disable-pip-version-check "pre-commit>=4"
	$(BIN)/pre-commit install

coverage: setup  ## run the tests and list what none of them reaches
	$(BIN)/python -m pytest -n 2 --cov --cov-report=term-missing

usage: setup  ## write what commands say with --help into docs/usage.md
	$(BIN)/python -m tests.usage

architecture: setup  ## write the rules of docs/architecture.toml into docs/architecture.md
	$(BIN)/python -m tests.architecture

trust: setup  ## the trust campaign, 40 to 50 minutes (SCALE=PR, ONLY="T3 T5", SEED=1)
	$(BIN)/python -m tests.trust --scale $(or $(SCALE),N) --seed $(or $(SEED),0) $(ONLY)

$(VENV)-oldest/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install -q --disable-pip-version-check "numpy==1.26.4" \
	  "pillow==13.0.0" "click==8.2.0" "platformdirs==4.0.0" "safetensors==0.4.3" "constriction==0.4.0" \
	  "threadpoolctl==3.5.0" "rich==13.0.0" "pathspec==0.12.1" "jinja2==3.1.6" pytest hypothesis
	touch $@

$(VENV)-newest/ready: pyproject.toml
	$(PYTHON) -m venv $(VENV)-newest
	$(VENV)-newest/bin/python -m pip install -q --disable-pip-version-check -U -e . pytest hypothesis
	touch $@

trust-release: setup $(VENV)-oldest/ready $(VENV)-newest/ready  ## the same before a release, hours (ONLY="T3 T5", SEED=1)
	SIC_TRUST_PYTHONS=$(VENV)-oldest/bin/python:$(VENV)-newest/bin/python \
	  $(BIN)/python -m tests.trust --scale R --seed $(or $(SEED),0) $(ONLY)

fuzz: setup  ## fuzz TARGET=container for FUZZ_SECONDS=300 of CPU time (container, layers, both_decoders, whole_file, coders, picture, frequencies)
	$(BIN)/python -m pip install -q --disable-pip-version-check "atheris>=3.0"
	$(BIN)/python -m tests.fuzz.drive $(or $(TARGET),container) $(or $(FUZZ_SECONDS),300)

audit: setup  ## known holes in the packages of .venv, by pip-audit; fails where it cannot ask
	$(PYTHON) -m venv $(VENV)-audit
	$(VENV)-audit/bin/python -m pip install -q --disable-pip-version-check pip-audit
	$(BIN)/python -m pip freeze --exclude-editable | sed -n 's/\(==[^+]*\)+.*/\1/;/==/p' > $(VENV)-audit/list
	$(VENV)-audit/bin/pip-audit --strict --no-deps --disable-pip -r $(VENV)-audit/list

$(VENV)/ready-bench: $(VENV)/ready
	$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps compressai==1.2.8
	touch $@

bench: $(VENV)/ready-bench  ## times of processes, of the codec and of peers, in one table
	$(BIN)/python benchmarks/speed.py $(DATA)/kodak

bench-scaling: setup  ## time and memory over 0.1 to 50 megapixels (TO=50), as a chart
	$(BIN)/python benchmarks/scaling.py --to $(or $(TO),50)

bench-cluster: setup-cluster  ## processes against a cluster, a worker killed in the middle, the client's memory
	$(BIN)/python benchmarks/cluster.py --data $(DATA)/kodak --out benchmarks/results/cluster.json --page docs/cluster.md

data: setup  ## fetch Debian's wallpapers, decode all training pictures once into runs/packed
	$(BIN)/python benchmarks/wallpapers.py $(DATA) runs/wallpapers $(if $(MIRROR),--mirror $(MIRROR))
	$(BIN)/sic train pack $(DATA)/train $$(ls -d runs/wallpapers/pictures 2>/dev/null) runs/packed

train: setup  ## train STAGE (mse, both, gan) into RUN for MINUTES, from START; resumes
	$(BIN)/sic train run --packed runs/packed --validation $(DATA)/holdout --out $(RUN) --stage $(STAGE) --minutes $(MINUTES) \
	  --backbones $(BACKBONES) --processes $(PROCESSES) $(if $(START),--start $(START)) $(if $(CROPS),--crops $(CROPS) --final)

train-context: setup  ## train the context network behind RUN into CONTEXT for MINUTES; resumes
	$(BIN)/sic train context --packed runs/packed --validation $(DATA)/holdout --transforms $(RUN) --out $(CONTEXT) --minutes $(MINUTES)

train-mean-colours: setup  ## train the network of layer 0 behind RUN with the indices in CONTEXT
	$(BIN)/sic train mean-colours --indices $(CONTEXT) --transforms $(RUN) $(CONTEXT)/mean_colours.safetensors

export: setup  ## write the weights NAME from RUN and CONTEXT
	$(BIN)/sic train export --packed runs/packed --transforms $(RUN) --context $(CONTEXT) --name $(NAME)

pin: setup  ## pin the weights NAME in the code, and make their golden files anew
	$(BIN)/python benchmarks/pin.py $(WEIGHTS)
	$(BIN)/python -m tests.golden.make $(WEIGHTS)

embedding: setup  ## the price of holding all levels in one file, from START, MINUTES of it at a time
	$(BIN)/python benchmarks/embedding.py $(DATA) runs/embedding --start $(or $(START),sic-5) --crops $(or $(CROPS),4000) --minutes $(MINUTES)

ablation: setup  ## each term of the loss on its own, from START, MINUTES of it at a time
	$(BIN)/python benchmarks/ablation.py $(DATA) runs/ablation --start $(or $(START),sic-5) --crops $(or $(CROPS),4000) --minutes $(MINUTES) --backbones $(BACKBONES)

context: setup  ## variants of the context network behind START, CROPS each
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/context.py runs/packed --start $(or $(START),sic-5) --crops $(or $(CROPS),30000) --out runs/variants --holdout $(DATA)/holdout

weights-table: setup-measure  ## measure the weights NAME against other codecs; all tables of the model card
	SIC_LPIPS_WEIGHTS=$(DATA)/backbones $(BIN)/sic eval $(DATA)/kodak -o runs/report-$(WEIGHTS) -m $(WEIGHTS) \
	  --realism 0,1 --codecs sic,jpeg,webp,avif,j2k,jxl --show 12
	$(BIN)/python benchmarks/card.py runs/report-$(WEIGHTS) --release $(WEIGHTS)
	$(BIN)/python benchmarks/rate.py $(DATA) --release $(WEIGHTS)

readme-table: setup  ## write the README's table from benchmarks/results/readme.csv (REPORT=runs/report-... measures that file anew)
	$(BIN)/python benchmarks/readme_table.py $(REPORT)

pictures: setup  ## draw the diagrams of the documents, and the README's strip of levels
	$(BIN)/python docs/diagrams.py
	$(BIN)/python benchmarks/strip.py

gpu-pack: setup  ## put what travels to a GPU into gpu-pack/ (SHARD=0..3), from RUN or the newest weights
	$(BIN)/python benchmarks/gpu_pack.py $(DATA) gpu-pack $(or $(SHARD),0) $(RUN)

gpu-rehearsal: setup  ## the same command as on a GPU, for a minute on the CPU
	cd gpu-pack && DEVICE=cpu MINUTES=1 BATCH=2 STAGE=$(STAGE) OUT=out PYTHON=$(abspath $(BIN)/python) sh go.sh

clean:  ## remove what make made
	rm -rf $(VENV) $(VENV)-oldest $(VENV)-newest $(VENV)-audit demo build dist gpu-pack
