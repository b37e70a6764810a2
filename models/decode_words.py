"""Common English words, by which a deciphered text is told from a string that only happens to be one."""

from __future__ import annotations

import functools
from typing import Final


@functools.cache
def words() -> frozenset[str]:
    """The words, in lower case."""
    return frozenset(_WORDS.split())


_WORDS: Final = """
a abilities ability able about above absolutely abstract academic accent accept accepted access accessible according
account accounts accuracy accurate accurately achieve across act acting action actionable actions active activities
activity actor acts actual actually adapt add added adding addition additional additionally address addressing adhere
adhering adjust admin administrator adult advanced advancements adventure advice advisor aesthetic afraid after
afternoon again against age agent ago agree ahead ai aight air alarm album alert alerts alex algorithm algorithms
alien align alive all allow allowed allowing allows almost alone along already alright also alternate alternative
although always am amazing amazon america american among amount an analysis analyst analyze analyzing ancient and
angle angry animal animals anime annotations another answer answerable answering answers any anymore anyone anything
anytime anyway api app appear appearance appears append apple applicable application applications applied apply
appointment appreciate approach appropriate approved apps april architect architecture are area areas args argument
arguments arms around array arrive arrived art article articles artificial artist artistic arts as ask asked asking
asks aspect aspects assert assess assist assistance assistant associated assume assumptions astronaut async asyncio at
athlete atmosphere attack attacker attacks attempt attempts attention attributes audience august australia auth
authentic authentication author authority authorization auto automatically available average avoid avoiding await
awarded aware awareness away awesome babe baby back backend background backwards bad balance balanced ball band bank
barely base based baseline bash basic batch battery battle be beach beautiful beauty became because become becomes
becoming been before began begin beginning begins behavior behaviors behind being beings beliefs believe believed
below benefit benefits bentoml best better between beyond big bill birthday bit bitter black blend block blocks blog
blood blue board bodies body bold bomb book books bool born boss both bottom bought bound boundaries bowl box boy
brand bread break breaking breaks bridge brief briefly bright brilliant bring brings british broken brother brought
brown browser budget build building buildings built bullet bus business busy but button buy buying by bypass bytes
cache cake calculate calendar california call callable called calling calls calm calories came camera campaign can
canada cancel cannot cant capabilities capable capital captain captivating capture capturing car card cards care
career careful carefully carry cars cartoon case cases cash cast casual cat catch categories category caught cause
caused causes causing cell center centered central centre century certain certainly chain challenge challenges
challenging chance change changed changes changing channel character characteristics characters charge charged chase
chat chatbot chatgpt check checked checking checks chicken child children china chinese choice choices choose chosen
cinematic cipher circumstances city civilization claim claims clarification clarify clarity class classes classic
classified classify claude clean cleaning clear clearly click client clients climate close closed closely clothing
cloud club coach cocaine code coding coffee coin cold collaboration collect collection college color colors columbia
column columns combination combine combined come comes comfortable coming command commands comment comments commit
common communicate communication communities community companies company compare compared compelling complete
completed completely completion complex complexity compliance comply component components compose composition
comprehensive computer concept concepts concerns concise conclude conclusion condition conditions conduct conducting
confidence confident confidential config configuration configure confirm conflict conflicts connect connected
connection connections consciousness consent consequences consider considerations considered considering consistency
consistent console constantly constraints construct construction contact contain contained containing contains content
contents context continue contrast contribute control controlled controversial conversation conversational
conversations convert convey cook cooking cool cooperation copy core correct correctly cost costs could count
countries country couple course court cover covered craft crafting crazy create created creates creating creation
creative creativity creator creature creatures credentials credit crew crime critical cross crucial cultural culture
cultures curiosity curious curl current currently custom customer customers cut cute cutting cybersecurity daily dall
damage damn dance dangerous dark data database dataset datasette date dates daughter david day days dead deal dear
death debug december decide decided decision decisions decline declined decode decoded decoding dedicated deep deeper
deeply default defaults defense define defined definitely definition delete delicate deliver delivering delivery delve
demand dependencies depending depends deployment deposit depth describe described describes describing description
descriptions design designed designing designs desire desired despite detail detailed details detect detection
determine develop developed developer developing development device devices dialogue dice dict did died difference
differences different difficult digital dinner direct direction directly director directory disable disabled discover
discovered discovery discuss discussing discussion discussions dish display disregard distance distant distinct
diverse do docs doctor document documentation documents does dog doing dollars domain done dont door doors double down
download downtown draft dramatic draw drawing dream dreams dress drink drive driven driving drop dropping drug drugs
dude due duration during dynamic dynamics each earlier early earth easier easily east easy eat eating economic edge
edit education educational effect effective effectively effects efficiency efficient efficiently effort either
elaborate electric element elements elif else email emails emojis emotion emotional emotions empathy emphasize
emphasizing empire employees empty enable enabled encode encoded encounter encourage encouraging end ended ending
endpoint ends energy engage engagement engaging engine engineer engineering england english enhance enhanced enhancing
enjoy enjoyed enough ensure ensures ensuring entailed enter enters entertainment entire entities entity entry
environment environmental environments equal equivalent error errors escape especially essence essential establish
established etc ethical ethics europe european eval evaluate even evening event events eventually ever every everyday
everyone everything evidence exact exactly example examples excellent except exception exchange excited excitement
exciting execute execution executive exercise exfiltrate exist existence existing exists exit expand expect
expectations expected experience experienced experiences experiment expert expertise explain explaining explanation
explanations explicit explicitly exploration explore exploring explosive explosives export expose exposure express
expression expressions extensive external extra extract extreme extremely eye eyes fabric face faced faces facial
facing fact factors factory facts fail failed failure fair fake fall falling false family famous fantasy far
fascinating fashion fast faster fastmcp father favor favorite fear feature features featuring february federal
feedback feel feeling feelings feels feet fellow felt female fetch few fiction fictional field fields fight fighting
figure figures file files fill filled film filter filters final finally financial find finding findings finds fine
fingers finish finished fire first fit five fixed fixture flag flat flight flip float floor flow flying focus focused
focusing follow followed following follows food foot for force forced forces foreign forest forever forget forgot form
formal format formats formatting formed former forms forward foster found four frame framework frameworks framing
france fraud free freedom freely french fresh friday friend friendly friends from front fuck fucking fuel full fully
fun function functional functionality functions funds funny further future futuristic gain game games garden gas
gateway gather gathering gave gaze gender general generally generate generated generating generation generations
generator generic genre gentle german germany get gets getting gift girl girls github give given gives giving glad
glass global glow go goal goals god goes going gold golden gone gonna good google got gotta government gpt gradually
grand gravity great greater greek green greetings ground group groups grow growing growth guaranteed guess guidance
guide guideline guidelines guides guiding gun guns guy guys hack hacking had haha hair half hand handle handler
handling hands happen happened happening happens happiness happy hard harm harmful has hate have haven having he head
header headers heads health healthbot healthcare healthy hear heard heart heat heavily heavy height held hello help
helped helpful helping helps her here heroin herself hey hi hidden high higher highest highlight highlighting
highlights highly him himself his historian historical history hit hobbies hold holder holding holiday home hook hope
hoping host hot hotel hour hours house how however html httpx huge human humanity humans humor humorous hurt
hypothesis hypothetical i ice iconic idea ideal ideas identify identifying identity if ignore ignored illegal image
images imagine immediate immediately immersive impact implement implementation implementing implications import
importance important improve improved improvement improvements improving in inappropriate include included includes
including income incorporate incorporating increase increased increasing independent index indicate individual
individuals industry inference influence info inform information informative informed infrastructure ingredients init
initial initialize inner innocent innovation innovative input inputs insert inside insight insights inspect
inspiration inspired install instance instead institution instruction instructions insurance int integer integrate
integration integrity intelligence intelligent intended intense intent interact interaction interactions interactive
interest interested interesting interests interface internal international internet interview into intricate introduce
introduction invalid invest investment involve involved involves involving iphone is isinstance island issue issues it
italian item items its itself jailbreak january japanese javascript job jobs john join joined joke jokes journey json
july jump june just justice keep keeping keeps kept key keys kick kids kill killed killing kind kinda kinds king
kingdom kiss knew know knowing knowledge knowledgeable known knows kwargs label labels lack land landscape language
languages large larger largest last lastly late later latest laugh law laws layer layers layout lead leader leading
leads leak leaked learn learning least leave leaves leaving led left legal length lens less let letter letters level
levels library license lies life lifestyle light lighting lights like likely likes limit limitations limited limits
line lines link links lisa list listen listening lists litellm literally literature litestar little live lives living
lmao load loads local localhost locate located location locations log logfire logger logging logic logical login logo
logs london long longer look looked looking looks loop lord lose loss lost lot lots love loved loves low lower luck
lucky luggage lunch machine made magic magical mail main maintain maintaining maintenance major make makes making male
malicious malware man manage management manager managing manipulate manner manufacture many map march marimo mark
markdown market marketing married mars martian master match matches matching material materials math matter max
maximum may maybe me meal mean meaning meaningful means meant meanwhile measures media medical medieval medium meet
meeting meetings member members memory men mental mention mentioned menu mess message messages meta metadata meth
method methods metrics mexico middle might miles military milk million min mind mine minimal minimum minor mins minute
minutes miss missed missing mission mix mixed mobile mock mode model models modern modify module modules moment
moments monday money monitor monitoring month months mood moon moral more morning most mother motion move moved
movement moves movie movies moving much multi multiple murder music must my myself mysterious name named names
narrative national native natural naturally nature navigate near nearly necessary need needed needs negative network
neutral never new news newspaper next nice night no noise nokia non none normal norms north not note notes nothing
notice novel now number numbers obey object objective objectives objects ocean of off offensive offer offering offers
office officer officers official often oil ok okay old older on once one ones online only onto open openai opened
opening operating operation operations opinion opinions opportunities opportunity optimization optimize option
optional options or orange order ordered ordering organization orientation original other others otherwise our out
outcome outline outlined output outputs outside over overall overcome override overview own owner package page pages
paid pain painting pair palette paper paragraph param parameter parameters parametrize params parent parents paris
park parse part participate particular particularly partner parts party pass passage passed passion password passwords
past paste path paths patient pattern patterns pay paycheck paying payment peace peaceful people per perfect perform
performance perhaps period person persona personal personality personalized perspective perspectives phishing phone
photo photography photorealistic photos phrase phrases physical physics pick picture piece pieces pin pizza place
placed places plain plan planet planning plans plant plants plastic platform platforms play played player players
playful playing playlist plays please plot plugin plugins plus poem point points poison police policies policy
political politics pool poor popular population port portrait pose position positions positive possess possible post
potential potentially power powerful powers practical practice practices pre precise precision predict prefer
preferences prefix premise prepare prepared prepares presence present presentation presented preserve president press
pressure pretend pretty prevent previous previously price prices primarily primary princess principles print prior
prioritize priority privacy private prize probably problem problems proceed process processes processing produce
product production products professional profile program programmed programming programs progress project projects
promote promoting prompt prompts proper properly properties property propose protect protection protocol protocols
provide provided provider provides providing proxy public published pull purchase purely purpose purposes push put
putting pytest python quality queen queries query question questions quick quickly quiet quietly quite quotes race
rain raise raised raises random range ransomware rape rare rate rates rather rating ratio reach reaching react read
reader readers reading ready real realism realistic reality really realm reason reasoning reasons receive received
receiving recent recently recipe recommend recommendations recommended record records red reduce reducing refer
reference references refers reflect refusal refuse refuses regarding regardless region register regular regulations
related relationship relationships relaxed release released relevant reliable religion remain remaining remains
remember remind reminder remote remove render renowned rent rental repeat replace replacement reply report reports
repository represent representation represents request requested requests require required requirements requires
research researcher reservation reservations reset resolution resolve resource resources respect respectful respond
responding response responses responsibility responsible rest restaurant restaurants restriction restrictions result
results return returned returning returns reveal reveals reversed review reviews rewards rich right rights ring rise
risk risks river road rock role roleplay roles roll roman romantic room root round route routes routine routing row
rows rule rules run running runs russian sad safe safety said sales salt same sample save saved saving savings saw say
saying says scale scenario scenarios scene schedule schema school science scientific scientist scope score screen
script sea search searching season second seconds secret secrets section sections secure security see seeing seek
seeking seem seems seen select selected selection self sell selling send sending senior sense sensitive sent sentence
sentences sentiment separate separated september sequence series serious seriously serve served server serves service
services serving session set sets setting settings setup several sex sexual sexy shadow shadows shall shallow shape
share shared sharing sharp she shell shirt shit shop shopping short shot shots should show showing shown shows sick
side sides sign significance significant significantly signs silently silver similar simple simply simulate since
single sister site sitting situation situations six size skill skilled skills skin skip sky sleep slight slightly slow
slowly small smaller smart smile smooth snow so social societal society soft software solar solid solution solutions
solve solving some someone something sometimes song songs soon sorry sort soul sound sounds source sources south space
spain span spanish speak speaking spec special specialist specialized specializes specializing species specific
specifically specifics specified specify speculations speech speed spell spend spending spent spirit split sports
spread sqlite square stable stack staff stage stand standard standards standing stands star stars start started
starting starts state statement statements states static station status stay staying steak steal stealth step steps
steve stick still stock stolen stone stop storage store stories storm story storytelling straight strategic strategies
strategy stream street strength stress strict strictly string strings strong structure structured structures struggle
student students studies studio study studying stuff style styles subject subjects submit subtle subtly success
successful successfully such suggest suggesting suggestion suggestions suggests suicide suitable summarize summary
summer sun sunlight super support supported supporting supportive supports supposed sure surface surprised surrounding
survival sustainable sweet switch symbol sync syntax system systems table tables tags tailored take taken takes taking
tale talk talking target task tasked tasks taste taxes teach teacher team teams tech technical techniques
technological technologies technology teenagers tell telling tells temperature template ten term terms test testing
tests text texts texture textures than thank thanks that thats the theft their them theme themed themes themselves
then theory there therefore these they thing things think thinking third this thorough those though thought thoughtful
thoughts thread threat threatens threats three through throughout thursday thus time timeout timer times timezone tiny
tips tired tires title to today todo together token tokens told tomorrow tone tones tonight too took tool tools top
topic topics torch total touch tournament toward towards town trace track tracking trade traditional traffic train
trained training transaction transactions transfer transform transformation translate transport transportation travel
traveler traveling treat treatment tree trees trends tried tries trigger trip true truly trust trusted truth try
trying tuesday tuple turn turned turning turns twice twist twitter two type types typical typically typing uber
ultimately ultra unable unauthorized under understand understanding undetected unethical unfortunately union unique
unit united universe university unknown unless unlimited unnecessary unrestricted until unusual up upcoming update
updated updates upload uploaded upon upper urban urgent url urls us usage use used useful user users uses using
usually utilize utils vacation valid validate validation valuable value valueerror values variable variables variety
various vary vast verbatim verify version versions vertical very via vibrant video videos view views village violence
violent virtual virus visa visible vision visit visiting visual visually vivid voice volume vulnerabilities wait
waiting wake walk walking wall walls wanna want wanted wants war warm warning warnings was washington waste watch
watching water way ways we weapon weapons wear wearing weather web webpage website wednesday week weekend weekly weeks
weight weird welcome well wells went were west western what whatever whats when whenever where whether which while
whisper white who whole whom whose why wide widely width wife wild will willing win wind window windows winning wisdom
wise wish with within without wizard woman women wonder wonderful wondering word words work worked workflow working
works world worry worth would wow write writer writing written wrong wrote yaml yeah year years yellow yes yesterday
yet yield york you young your yours yourself youtube zero
"""
